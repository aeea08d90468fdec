// Quantization of silu(gate) * up.
#include "cuda/quantize/block_groups.cuh"
#include "cuda/quantize/made_input.h"
#include "cuda/quantize/short_groups.cuh"

namespace qutlass::cuda {

void silu_mul_quantize(Stream stream, Tensor gate, Tensor up, const qutlass_rotation& rotation,
                       bool find_global_scale, const qutlass_quantized& out) {
  const bool short_groups = out.format.group_cols != 0;
  const bool fits = short_groups ? !find_global_scale || short_groups_find_scale(rotation, out)
                                 : group_fits_block(rotation, out.cols);
  if (!fits || !is_made_while_read({gate, up}, out.cols, rotation, out)) {
    return quantize_made(stream, gate, rotation, {}, find_global_scale, out,
                         [&](Tensor made) { silu_mul(stream, gate, up, made); });
  }
  const SiluMulInput in{static_cast<const uint16_t*>(gate.data), static_cast<const uint16_t*>(up.data)};
  const QuantizeJob<SiluMulInput> job{in, rotation, {}, out, find_global_scale};
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("silu_mul_quantize",
           {gate.data, up.data, rotation.data, out.codes, out.scales, out.zero_points, out.global_scale,
            out.clip_mask},
           [&](cudaStream_t) {
             if (short_groups) return launch_elements(cuda, job);
             launch_whole_groups(cuda, job, out.rows, out.cols);
           });
}

}  // namespace qutlass::cuda
