// Where in a cache the keys and values of a token go.
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// The cache row of a token, or -1 if none is to be written: its position is outside of the cache, or that of
// a later token too, whose row stays. All threads of the block take part.
__device__ inline int64_t cache_row(const int32_t* positions, int64_t token, int64_t tokens,
                                    int64_t capacity) {
  const int64_t position = positions[token];
  if (position < 0 || position >= capacity) return -1;
  bool superseded = false;
  for (int64_t later = token + 1 + threadIdx.y * blockDim.x + threadIdx.x; later < tokens;
       later += blockDim.x * blockDim.y) {
    superseded |= positions[later] == position;
  }
  return __syncthreads_or(superseded) ? -1 : position;
}

}  // namespace qutlass::cuda
