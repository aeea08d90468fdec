// Quantization of a matrix in groups of 16 to 128 elements: stochastically.
#include "cuda/quantize/short_groups.cuh"

namespace qutlass::cuda {

template void enqueue_short_groups<true>(CudaStream&, const QuantizeJob<DenseInput>&);

}  // namespace qutlass::cuda
