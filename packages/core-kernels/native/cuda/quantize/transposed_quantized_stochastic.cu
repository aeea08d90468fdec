// Quantization of the transpose of a quantized matrix: stochastically.
#include "cuda/quantize/transposed.cuh"

namespace qutlass::cuda {

template void enqueue_transposed<true>(CudaStream&, const TransposedJob<QuantizedSource>&);

}  // namespace qutlass::cuda
