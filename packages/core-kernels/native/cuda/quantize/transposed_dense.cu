// Quantization of the transpose of a matrix: to nearest.
#include "cuda/quantize/transposed.cuh"

namespace qutlass::cuda {

template void enqueue_transposed_scale(CudaStream&, const TransposedJob<DenseSource>&, GroupRange*);
template void enqueue_transposed<false>(CudaStream&, const TransposedJob<DenseSource>&);

}  // namespace qutlass::cuda
