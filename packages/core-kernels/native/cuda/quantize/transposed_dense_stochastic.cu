// Quantization of the transpose of a matrix: stochastically.
#include "cuda/quantize/transposed.cuh"

namespace qutlass::cuda {

template void enqueue_transposed<true>(CudaStream&, const TransposedJob<DenseSource>&);

}  // namespace qutlass::cuda
