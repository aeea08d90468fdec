// Quantization of the transpose of a quantized matrix: to nearest.
#include "cuda/quantize/transposed.cuh"

namespace qutlass::cuda {

template void enqueue_transposed_scale(CudaStream&, const TransposedJob<QuantizedSource>&, GroupRange*);
template void enqueue_transposed<false>(CudaStream&, const TransposedJob<QuantizedSource>&);

}  // namespace qutlass::cuda
