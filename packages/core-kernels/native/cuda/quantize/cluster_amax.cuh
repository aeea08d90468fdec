// The largest magnitude of what several thread blocks hold.
#pragma once

#include <cstdint>

#include "cuda/atoms/cluster.cuh"
#include "cuda/quantize/group.cuh"
#include "cuda/quantize/tile.cuh"

namespace qutlass::cuda {

// What every GPU with clusters can run together.
inline constexpr int kMostClusterBlocks = 8;

// Among the finite elements, to each thread of a cluster of so many blocks, which have arrived at it if they
// are several.
template <int kTiles>
__device__ float cluster_amax(const float (&x)[kTiles][kTile], int blocks) {
  __shared__ int32_t of_block[kMostClusterBlocks];
  GroupRange range;
#pragma unroll
  for (int i = 0; i < kTiles * kTile; ++i) {
    const int32_t magnitude = __float_as_int(fabsf(x[i / kTile][i % kTile]));
    if (magnitude < 0x7F800000) range.highest = max(range.highest, magnitude);
  }
  range = block_range(range);
  if (blocks == 1) return range.high();
  wait_for_cluster();
  const int peer = static_cast<int>(threadIdx.x);
  if (peer < blocks) Peer(of_block, peer).store(&of_block[Cluster::own().rank], range.highest);
  synchronize_cluster();
  for (int block = 0; block < blocks; ++block) range.highest = max(range.highest, of_block[block]);
  return range.high();
}

}  // namespace qutlass::cuda
