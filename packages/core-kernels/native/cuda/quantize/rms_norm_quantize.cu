// Quantization of the root mean square normalization: a block to a row.
#include "cuda/quantize/block_groups.cuh"
#include "cuda/quantize/made_input.h"
#include "cuda/quantize/short_groups.cuh"

namespace qutlass::cuda {
namespace {

void launch_rows(CudaStream& s, const QuantizeJob<RmsNormInput>& job) {
  constexpr int64_t kFew = 256;  // rows, to be spread over as many threads as possible
  const int tiles = job.out.rows < kFew ? 1 : 2;
  const int64_t step = kWarp * tiles * kTile, length = ceil_div(job.out.cols, step) * step;
  const int threads = static_cast<int>(length) / (tiles * kTile);
  const Spans rows(job.out.rows, job.out.cols, static_cast<int32_t>(length));
  with_recipe(job.out.format, [&](auto recipe) {
    with_input_rotation<RmsNormInput>(job.rotation, [&](auto by) {
      if (tiles == 1) return launch_short_groups<recipe(), by(), 1>(s, job, rows, threads);
      launch_short_groups<recipe(), by(), 2>(s, job, rows, threads);
    });
  });
}

// Whether the blocks, which hold a row each, can find the global scale.
bool rows_find_scale(const qutlass_quantized& out) {
  return out.format.rule == QUTLASS_RULE_MX_ABS_MAX || out.rows == 1 ||
         (out.rows <= kMostClusterBlocks && has_dependent_launch());
}

}  // namespace

void rms_norm_quantize(Stream stream, Tensor x, Tensor residual, Tensor weight, float eps,
                       const qutlass_rotation& rotation, bool find_global_scale,
                       const qutlass_quantized& out) {
  const int64_t width = out.cols;
  if (width > RmsNormInput::kMostColumns || (find_global_scale && !rows_find_scale(out)) ||
      !is_made_while_read({x, residual, weight}, width, rotation, out)) {
    return quantize_made(stream, x, rotation, {}, find_global_scale, out,
                         [&](Tensor made) { rms_norm(stream, x, residual, weight, eps, made); });
  }
  const RmsNormInput in{static_cast<const uint16_t*>(x.data), static_cast<uint16_t*>(residual.data),
                        static_cast<const uint16_t*>(weight.data), width, eps};
  const QuantizeJob<RmsNormInput> job{in, rotation, {}, out, find_global_scale};
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("rms_norm_quantize",
           {x.data, residual.data, weight.data, rotation.data, out.codes, out.scales, out.zero_points,
            out.global_scale, out.clip_mask},
           [&](cudaStream_t) {
             if (out.format.group_cols != 0) return launch_rows(cuda, job);
             launch_whole_groups(cuda, job, out.rows, out.cols);
           });
}

}  // namespace qutlass::cuda
