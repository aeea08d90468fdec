// Quantization of a matrix in groups of 16 to 128 elements: to nearest.
#include "cuda/quantize/short_groups.cuh"

namespace qutlass::cuda {

bool short_groups_find_scale(const qutlass_rotation& rotation, const qutlass_quantized& out) {
  if (out.format.rule == QUTLASS_RULE_MX_ABS_MAX) return true;
  const int64_t elements = out.rows * out.cols;
  int64_t blocks = 0;
  with_rotation(rotation, [&](auto by) {
    blocks = ceil_div(elements, division<by()>(rotation, elements, true).elements());
  });
  return blocks == 1 || (blocks <= kMostClusterBlocks && has_dependent_launch());
}

template void enqueue_short_groups<false>(CudaStream&, const QuantizeJob<DenseInput>&);

}  // namespace qutlass::cuda
