// Quantization of a matrix where a group fills a thread block, or more than one: to nearest.
#include "cuda/quantize/block_groups.cuh"

namespace qutlass::cuda {

bool group_fits_block(const qutlass_rotation& rotation, int64_t elements) {
  const int given = given_tiles(rotation);
  return elements <= (given ? given : 4) * kMostThreads * kTile;
}

template void enqueue_squares<false>(CudaStream&, const QuantizeJob<DenseInput>&);
template void enqueue_block_groups<false>(CudaStream&, const QuantizeJob<DenseInput>&, const LongGroups&);
template void enqueue_long_groups<false>(CudaStream&, const QuantizeJob<DenseInput>&, const LongGroups&,
                                         const GroupRange*);

}  // namespace qutlass::cuda
