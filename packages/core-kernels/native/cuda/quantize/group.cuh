// The scale of a group whose elements lie in several threads.
#pragma once

#include <cstdint>

#include "cuda/model/block_reduce.cuh"
#include "cuda/quantize/tile.cuh"
#include "numerics/group_scale.h"

namespace qutlass::cuda {

// The larger of a >= 0 and |b|; NaN if one of them is. An instruction, where std::max and fmaxf drop NaNs.
__device__ inline float larger_magnitude(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(fabsf(b)));
  return larger;
}

__device__ inline GroupRange range_of_magnitude(float amax) {
  GroupRange range;
  range.highest = __float_as_int(amax);
  return range;
}

// Whether the scale of a group follows from its largest magnitude.
__device__ inline bool is_symmetric(const qutlass_format& format) { return !format.zero_point; }

// The range of kCount elements; of their magnitudes if that is enough.
template <int kCount>
__device__ inline GroupRange range_of(const float* x, bool symmetric) {
  if (symmetric) {
    float parts[4];  // that need not wait for each other
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      parts[i % 4] = i < 4 ? fabsf(x[i]) : larger_magnitude(parts[i % 4], x[i]);
    return range_of_magnitude(
        larger_magnitude(larger_magnitude(parts[0], parts[1]), larger_magnitude(parts[2], parts[3])));
  }
  GroupRange range;
#pragma unroll
  for (int i = 0; i < kCount; ++i) range.add(x[i]);
  return range;
}

// The range of all threads of a block, to each of them. One reduction within warps, one between them.
__device__ inline GroupRange block_range(GroupRange range) {
  __shared__ GroupRange of_warp[kWarp];
  const auto over_warp = [](const GroupRange& r) {
    return GroupRange{__reduce_max_sync(0xFFFFFFFFu, r.highest), __reduce_max_sync(0xFFFFFFFFu, r.lowest)};
  };
  const unsigned lane = threadIdx.x % kWarp, warps = blockDim.x / kWarp;
  range = over_warp(range);
  if (warps == 1) return range;
  __syncthreads();  // an earlier reduction may still be read
  if (lane == 0) of_warp[threadIdx.x / kWarp] = range;
  __syncthreads();
  return over_warp(lane < warps ? of_warp[lane] : GroupRange{});
}

// The functions below are for groups of `lanes` tiles in lanes that are neighbours, 1 to 8 of them; all lanes
// of a warp take part, and each gets the result of its group.

__device__ inline GroupRange lanes_range(const float (&x)[kTile], int lanes, bool symmetric) {
  GroupRange range = range_of<kTile>(x, symmetric);
  for (int i = 1; i < lanes; i *= 2) {
    range.highest = max(range.highest, __shfl_xor_sync(0xFFFFFFFFu, range.highest, i));
    if (!symmetric) range.lowest = max(range.lowest, __shfl_xor_sync(0xFFFFFFFFu, range.lowest, i));
  }
  return range;
}

// The sums over a group of a value of each tile.
template <typename T>
__device__ inline T lanes_sum(T sum, int lanes) {
  for (int i = 1; i < lanes; i *= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, i);
  return sum;
}

__device__ inline GroupScale lanes_quest_in_double(const float (&x)[kTile], int lanes) {
  double sum = 0, squares = 0;
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    const double value = x[i];
    sum += value;
    squares = fma(value, value, squares);  // the square of a float is exact
  }
  return mx_quest(lanes_sum(sum, lanes), lanes_sum(squares, lanes), lanes * kTile);
}

// In float32, which GPUs have more of. Sums of the distances from a mean need no more bits than that: what
// the mean is off is taken away again, and nothing large cancels. The standard deviation is within 1e-6.
__device__ inline GroupScale lanes_quest(const float (&x)[kTile], int lanes, float amax) {
  // Elsewhere squares could overflow or vanish. The lanes of a warp take the same way.
  const bool ordinary = amax == 0 || (amax >= 0x1p-40f && amax <= 0x1p40f);
  if (!__all_sync(0xFFFFFFFFu, ordinary)) return lanes_quest_in_double(x, lanes);
  // 1 / count, a power of two, so products with it are quotients.
  const float share = __int_as_float((127 - __ffs(lanes * kTile) + 1) << 23);
  float sums[4] = {}, squares[4] = {};  // that need not wait for each other
#pragma unroll
  for (int i = 0; i < kTile; ++i) sums[i % 4] += x[i];
  const float mean = lanes_sum((sums[0] + sums[1]) + (sums[2] + sums[3]), lanes) * share;
#pragma unroll
  for (float& sum : sums) sum = 0;
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    const float distance = x[i] - mean;
    sums[i % 4] += distance;
    squares[i % 4] = fmaf(distance, distance, squares[i % 4]);
  }
  const float off = lanes_sum((sums[0] + sums[1]) + (sums[2] + sums[3]), lanes);
  const float square = lanes_sum((squares[0] + squares[1]) + (squares[2] + squares[3]), lanes);
  const float variance = fmaxf(square - off * (off * share), 0.0f) * share;
  return mx_scale(biased_exponent(sqrtf(variance) * (2.92247856f / 6) + 1e-8f), 1);
}

// A group of NVFP4 is a tile.
__device__ inline GroupScale tile_four_six(const float (&x)[kTile], float amax, float global_scale) {
  const FourSix candidates(amax, global_scale);
  double six = 0, four = 0;
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    six += candidates.six.squared_error(x[i]);
    four += candidates.four.squared_error(x[i]);
  }
  return candidates.choose(six, four);
}

}  // namespace qutlass::cuda
