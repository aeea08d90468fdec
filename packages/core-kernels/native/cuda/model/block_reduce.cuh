// Reductions over a thread block in a fixed order, so that they repeat bit for bit.
#pragma once

#include <cstdint>

namespace qutlass::cuda {

inline constexpr int kWarp = 32;

// combine(a, b) over the values of a warp; every lane gets the result.
template <typename T, typename Combine>
__device__ inline T warp_reduce(T value, Combine combine) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
  }
  return value;
}

// combine(a, b) over the values of a block of whole warps; every thread gets the result. All threads take
// part.
template <typename T, typename Combine>
__device__ inline T block_reduce(T value, T identity, Combine combine) {
  __shared__ T of_warp[kWarp];
  const int lane = threadIdx.x % kWarp;
  const int warps = blockDim.x / kWarp;
  value = warp_reduce(value, combine);
  __syncthreads();  // an earlier reduction may still be read
  if (lane == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  return warp_reduce(lane < warps ? of_warp[lane] : identity, combine);
}

// Threads for `items` pieces of work: whole warps, as many as there are pieces, up to `most`.
inline int block_threads(int64_t items, int most) {
  const int64_t warps = (items + kWarp - 1) / kWarp;
  return static_cast<int>(warps * kWarp < most ? warps * kWarp : most);
}

}  // namespace qutlass::cuda
