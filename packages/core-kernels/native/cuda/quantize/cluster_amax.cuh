// The largest magnitude of what several thread blocks hold.
#pragma once

#include <cstdint>

#include "cuda/atoms/cluster.cuh"
#include "cuda/quantize/group.cuh"
#include "cuda/quantize/tile.cuh"

namespace qutlass::cuda {

// What every GPU with clusters can run together.
inline constexpr int kMostClusterBlocks = 8;

// Of the magnitudes of finite elements.
template <int kTiles>
__device__ GroupRange finite_range(const float (&x)[kTiles][kTile]) {
  GroupRange range;
#pragma unroll
  for (int i = 0; i < kTiles * kTile; ++i) {
    const int32_t magnitude = __float_as_int(fabsf(x[i / kTile][i % kTile]));
    if (magnitude < 0x7F800000) range.highest = max(range.highest, magnitude);
  }
  return range;
}

// Of the ranges of the threads of so many blocks of a cluster, which have arrived at it if they are several,
// to each of them.
__device__ inline float cluster_amax(GroupRange range, int blocks) {
  __shared__ int32_t of_block[kMostClusterBlocks];
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
