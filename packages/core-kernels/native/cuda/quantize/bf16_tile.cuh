// Tiles whose elements are bfloat16: ranges and e2m1 codes of two elements at once.
#pragma once

#include <cstdint>

#include "cuda/quantize/encode.cuh"
#include "cuda/quantize/group.cuh"
#include "cuda/quantize/quick_scale.cuh"

namespace qutlass::cuda {

// The larger magnitude in each half, NaN if one of the two is, perhaps with a sign.
__device__ inline uint32_t larger_magnitudes(uint32_t a, uint32_t b) {
  uint32_t larger;
#if __CUDA_ARCH__ >= 860
  asm("max.NaN.xorsign.abs.bf16x2 %0, %1, %2;" : "=r"(larger) : "r"(a), "r"(b));
#else
  asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(larger) : "r"(a & 0x7FFF7FFFu), "r"(b & 0x7FFF7FFFu));
#endif
  return larger;
}

// As lanes_range in group.cuh, of magnitudes.
__device__ inline GroupRange lanes_range(const TileWords& words, int lanes) {
  uint32_t parts[2];  // that need not wait for each other
#pragma unroll
  for (int i = 0; i < kTile / 2; ++i)
    parts[i % 2] = i < 2 ? word_of(words, i) : larger_magnitudes(parts[i % 2], word_of(words, i));
  const uint32_t pair = larger_magnitudes(parts[0], parts[1]);
  GroupRange range = range_of_magnitude(larger_magnitude(fabsf(lower_bf16(pair)), upper_bf16(pair)));
  for (int i = 1; i < lanes; i *= 2)
    range.highest = max(range.highest, __shfl_xor_sync(0xFFFFFFFFu, range.highest, i));
  return range;
}

// Whether the multiplier of a group with this largest magnitude is a power of two, ordinary, and such that no
// element gets beyond 8. The group has a scale of quick_scale.cuh then.
__device__ inline bool has_exact_products(const qutlass_format& format, float amax, float global_scale) {
  return (format.rule == QUTLASS_RULE_MX_FLOOR || format.rule == QUTLASS_RULE_MX_RCEIL) && amax > 0 &&
         is_quick(amax, global_scale);
}

// The codes of encode_e2m1 (encode.cuh) for such a multiplier. Bfloat16 from 128 to 256 are the integers, so
// a multiplication and an addition round to one of them, from the exact product.
__device__ inline void encode_e2m1_words(float multiplier, const TileWords& words, TileCodes& codes) {
  constexpr uint32_t kHundredTwentyEight = 0x43004300u;
  const auto twice = [](float x) { return (__float_as_uint(x) >> 16) * 0x00010001u; };
  const uint32_t slopes[3] = {twice(multiplier * 2), twice(multiplier), twice(multiplier * 0.5f)};
  const auto line = [&](uint32_t pair, int i) {
    uint32_t sum;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;"
        : "=r"(sum)
        : "r"(pair), "r"(slopes[i]), "r"(kHundredTwentyEight + i * 0x00020002u));
    return sum;
  };
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint32_t signs[4], sum = 0;
#pragma unroll
    for (int i = 3; i >= 0; --i) {
      // Elements i and i + 4.
      const uint32_t pair = permuted(word_of(words, 4 * half + i / 2), word_of(words, 4 * half + i / 2 + 2),
                                     i % 2 ? 0x7632 : 0x5410);
      const uint32_t magnitudes = pair & 0x7FFF7FFFu;
      sum = sum * 16 + __vimin3_s16x2(line(magnitudes, 0), line(magnitudes, 1), line(magnitudes, 2));
      signs[i] = permuted(pair, 0, 0xBB99);
    }
    uint32_t eight = sum - kHundredTwentyEight * 0x1111u;
    eight -= (eight & 0x88888888u) >> 3;
    codes[half] = eight | (merged(merged(signs[0], signs[1], 0x000F000Fu),
                                  merged(signs[2], signs[3], 0x0F000F00u), 0x00FF00FFu) &
                           0x88888888u);
  }
}

}  // namespace qutlass::cuda
