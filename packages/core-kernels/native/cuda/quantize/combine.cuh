// The second step of the ranges of long groups.
#pragma once

#include <cstdint>

#include "cuda/quantize/group.cuh"

namespace qutlass::cuda {

// The range of all of `partial`, to each thread of a block.
__device__ inline GroupRange combine_ranges(const GroupRange* partial, int64_t count) {
  GroupRange range;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) range.add(partial[i]);
  return block_range(range);
}

}  // namespace qutlass::cuda
