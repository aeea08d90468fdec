// Quantization of a transpose, in one launch where a kernel can, and of a transposed copy elsewhere.
#include "check.h"
#include "cuda/operations.h"
#include "cuda/quantize/made_input.h"
#include "cuda/quantize/transposed_input.cuh"
#include "cuda_stream.h"
#include "scratch.h"

namespace qutlass::cuda {
namespace {

template <typename Source>
void quantize_source(Stream stream, const Source& source, std::initializer_list<const void*> operands,
                     const qutlass_rotation& rotation, const qutlass_rounding& rounding,
                     bool find_global_scale, const qutlass_quantized& out) {
  const bool find_range = find_global_scale && out.format.rule != QUTLASS_RULE_MX_ABS_MAX;
  const DeviceScratch partial(stream.device,
                              find_range ? static_cast<size_t>(kRangeBlocks) * sizeof(GroupRange) : 0);
  const TransposedJob<Source> job{{source}, rotation, rounding, out, find_global_scale && !find_range};
  std::vector<const void*> all(operands);
  all.insert(all.end(), {rotation.data, rounding.counter, out.codes, out.scales, out.zero_points,
                         out.global_scale, out.clip_mask, partial.as<void>()});
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("quantize_transposed", all, [&](cudaStream_t) {
    if (find_range) enqueue_transposed_scale(cuda, job, partial.as<GroupRange>());
    with_rounding(rounding, [&](auto stochastic) { enqueue_transposed<stochastic()>(cuda, job); });
  });
}

}  // namespace

void quantize_transposed(Stream stream, const qutlass_operand& x, const qutlass_rotation& rotation,
                         const qutlass_rounding& rounding, bool find_global_scale,
                         const qutlass_quantized& out) {
  const qutlass_quantized& q = x.quantized;
  const int32_t dtype = x.is_quantized ? int32_t{QUTLASS_BF16} : x.dense.dtype;
  if (dtype == QUTLASS_BF16 && is_transposed_while_read(rotation, out)) {
    if (x.is_quantized) {
      return quantize_source(stream, QuantizedSource{q}, {q.codes, q.scales, q.zero_points, q.global_scale},
                             rotation, rounding, find_global_scale, out);
    }
    return quantize_source(stream, DenseSource{x.dense}, {x.dense.data}, rotation, rounding,
                           find_global_scale, out);
  }
  qutlass_tensor values = x.dense;
  const auto bytes = static_cast<size_t>(out.rows * out.cols * sizeof(uint16_t));
  const DeviceScratch decoded(stream.device, x.is_quantized ? bytes : 0);
  if (x.is_quantized) {
    values = {decoded.as<void>(), QUTLASS_BF16, 2, {q.rows, q.cols}};
    dequantize(stream, q, {QUTLASS_ROTATION_IDENTITY, 1, nullptr}, values);
  }
  const qutlass_tensor like{nullptr, dtype, 2, {out.rows, out.cols}};
  quantize_made(stream, like, rotation, rounding, find_global_scale, out,
                [&](Tensor made) { transpose(stream, values, made); });
}

}  // namespace qutlass::cuda
