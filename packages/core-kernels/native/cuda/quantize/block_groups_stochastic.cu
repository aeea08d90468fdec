// Quantization of a matrix where a group fills a thread block, or more than one: stochastically.
#include "cuda/quantize/block_groups.cuh"

namespace qutlass::cuda {

template void enqueue_squares<true>(CudaStream&, const QuantizeJob<DenseInput>&);
template void enqueue_block_groups<true>(CudaStream&, const QuantizeJob<DenseInput>&, const LongGroups&);
template void enqueue_long_groups<true>(CudaStream&, const QuantizeJob<DenseInput>&, const LongGroups&,
                                        const GroupRange*);

}  // namespace qutlass::cuda
