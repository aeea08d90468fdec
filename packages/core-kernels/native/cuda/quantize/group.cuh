// The scale of a group whose elements lie in several threads, and codes of eight elements.
#pragma once

#include <cstdint>

#include "cuda/data/chunk.cuh"
#include "cuda/model/block_reduce.cuh"
#include "numerics/group_scale.h"

namespace qutlass::cuda {

__device__ inline GroupRange range_of(const float (&x)[kChunk]) {
  GroupRange range;
#pragma unroll
  for (int i = 0; i < kChunk; ++i) range.add(x[i]);
  return range;
}

// The range of all threads of a block, to each of them.
__device__ inline GroupRange block_range(const GroupRange& range) {
  const auto larger = [](auto a, auto b) { return a > b ? a : b; };
  return {block_reduce(range.highest, 0, larger), block_reduce(range.lowest, 0x80000000u, larger)};
}

// The functions below are for groups of `lanes` chunks in lanes that are neighbours, 2 to 16 of them; all
// lanes of a warp take part, and each gets the result of its group.

__device__ inline GroupRange lanes_range(GroupRange range, int lanes) {
  for (int i = 1; i < lanes; i *= 2) {
    range.add(
        {__shfl_xor_sync(0xFFFFFFFFu, range.highest, i), __shfl_xor_sync(0xFFFFFFFFu, range.lowest, i)});
  }
  return range;
}

__device__ inline GroupScale lanes_quest(const float (&x)[kChunk], int lanes) {
  double sum = 0, squares = 0;
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const double value = x[i];
    sum += value;
    squares += value * value;
  }
  for (int i = 1; i < lanes; i *= 2) {
    sum += __shfl_xor_sync(0xFFFFFFFFu, sum, i);
    squares += __shfl_xor_sync(0xFFFFFFFFu, squares, i);
  }
  return mx_quest(sum, squares, lanes * kChunk);
}

// The sum of a candidate's errors over a group of two chunks, in the order of the elements: the second lane
// goes on where the first ends.
__device__ inline double pair_error(const FourSix::Candidate& candidate, const float (&x)[kChunk]) {
  double errors[kChunk], sum = 0;
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    errors[i] = candidate.squared_error(x[i]);
    sum += errors[i];
  }
  sum = __shfl_xor_sync(0xFFFFFFFFu, sum, 1);
#pragma unroll
  for (int i = 0; i < kChunk; ++i) sum += errors[i];
  return __shfl_sync(0xFFFFFFFFu, sum, static_cast<int>(threadIdx.x % 32 | 1));
}

// The scale of a group under any rule.
__device__ inline GroupScale lanes_scale(const qutlass_format& format, const float (&x)[kChunk],
                                         float global_scale) {
  const int lanes = format.group_cols / kChunk;
  const GroupRange range = lanes_range(range_of(x), lanes);
  if (format.rule == QUTLASS_RULE_MX_QUEST) {
    const GroupScale scale = lanes_quest(x, lanes);
    if (is_usable(range, global_scale)) return scale;
  } else if (format.rule == QUTLASS_RULE_NV_FOUR_SIX) {
    const FourSix candidates(range.amax(), global_scale);
    const double six = pair_error(candidates.six, x), four = pair_error(candidates.four, x);
    if (is_usable(range, global_scale)) return candidates.choose(six, four);
  }
  return scale_from_range(format, range, global_scale);
}

// A byte for each code.
__device__ inline uint64_t encode_chunk(const qutlass_format& format, const GroupScale& scale,
                                        const float (&x)[kChunk]) {
  uint32_t low = 0, high = 0;
  if (!scale.is_nan()) {
    with_encoder(format, scale, [&](const auto& encode) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        low |= static_cast<uint32_t>(encode(x[i] * scale.multiplier)) << (8 * i);
        high |= static_cast<uint32_t>(encode(x[i + 4] * scale.multiplier)) << (8 * i);
      }
    });
  }
  return low | static_cast<uint64_t>(high) << 32;
}

// A bit for each element.
__device__ inline uint8_t clip_mask_chunk(const GroupScale& scale, const float (&x)[kChunk]) {
  uint32_t mask = 0;
#pragma unroll
  for (int i = 0; i < kChunk; ++i) mask |= static_cast<uint32_t>(is_unclipped(x[i] * scale.multiplier)) << i;
  return static_cast<uint8_t>(scale.is_nan() ? 0 : mask);
}

}  // namespace qutlass::cuda
