// Sums of integers over a thread block, and searches in their running sums. Integers add up the same in any
// order.
#pragma once

#include <cstdint>

#include "block_reduce.cuh"

namespace qutlass::cuda {

using Amount = unsigned long long;

__device__ inline Amount add_amounts(Amount a, Amount b) { return a + b; }

// The part of `count` neighbours that a warp of the block goes through in order.
struct Segment {
  int begin;
  int end;
};

__device__ inline Segment segment_of_warp(int count) {
  const int64_t warps = blockDim.x / kWarp, warp = threadIdx.x / kWarp;
  return {static_cast<int>(warp * count / warps), static_cast<int>((warp + 1) * count / warps)};
}

// The sum of amount(i) over [0, count).
template <typename Function>
__device__ Amount block_total(int count, Function amount) {
  Amount sum = 0;
#pragma unroll 4
  for (int i = threadIdx.x; i < count; i += blockDim.x) sum += amount(i);
  return block_reduce(sum, Amount{0}, add_amounts);
}

// The sum of amount(i) over the segments before that of this warp; `own` receives the sum over its own.
template <typename Function>
__device__ Amount total_before_warp(int count, Function amount, Amount& own) {
  __shared__ Amount of_warp[kWarp];
  const Segment segment = segment_of_warp(count);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  own = 0;
#pragma unroll 4
  for (int i = segment.begin + lane; i < segment.end; i += kWarp) own += amount(i);
  own = warp_reduce(own, add_amounts);
  __syncthreads();  // an earlier search may still be read
  if (lane == 0) of_warp[warp] = own;
  __syncthreads();
  return warp_reduce(lane < warp ? of_warp[lane] : Amount{0}, add_amounts);
}

// The first i at which amount(0) + ... + amount(i) exceeds `target`; `count` if the sum never does.
template <typename Function>
__device__ int find_exceeding(int count, Amount target, Function amount) {
  __shared__ int found;
  Amount own;
  Amount passed = total_before_warp(count, amount, own);
  if (threadIdx.x == 0) found = count;
  __syncthreads();
  if (passed <= target && target < passed + own) {
    const Segment segment = segment_of_warp(count);
    const int lane = threadIdx.x % kWarp;
    for (int base = segment.begin; base < segment.end; base += kWarp) {
      Amount sum = base + lane < segment.end ? amount(base + lane) : 0;
#pragma unroll
      for (int distance = 1; distance < kWarp; distance *= 2) {
        const Amount before = __shfl_up_sync(0xFFFFFFFFu, sum, distance);
        if (lane >= distance) sum += before;
      }
      const unsigned exceeding = __ballot_sync(0xFFFFFFFFu, passed + sum > target);
      if (exceeding) {
        if (lane == 0) found = base + __ffs(static_cast<int>(exceeding)) - 1;
        break;
      }
      passed += __shfl_sync(0xFFFFFFFFu, sum, kWarp - 1);
    }
  }
  __syncthreads();
  const int result = found;
  __syncthreads();  // `found` is written by the next search
  return result;
}

// Writes those i in [0, count) for which keep(i) holds to list, in order; their number.
template <typename Predicate>
__device__ int collect(int count, int32_t* list, Predicate keep) {
  Amount own;
  Amount next = total_before_warp(count, [&](int i) -> Amount { return keep(i) ? 1 : 0; }, own);
  const Segment segment = segment_of_warp(count);
  const int lane = threadIdx.x % kWarp;
  for (int base = segment.begin; base < segment.end; base += kWarp) {
    const bool kept = base + lane < segment.end && keep(base + lane);
    const unsigned of_warp = __ballot_sync(0xFFFFFFFFu, kept);
    if (kept) list[next + __popc(of_warp & ((1u << lane) - 1))] = base + lane;
    next += __popc(of_warp);
  }
  // Also orders the writes before the reads of the block.
  return static_cast<int>(block_reduce(lane == 0 ? own : Amount{0}, Amount{0}, add_amounts));
}

}  // namespace qutlass::cuda
