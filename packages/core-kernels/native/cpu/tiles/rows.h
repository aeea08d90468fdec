// What happens to rows before and after they are multiplied, as loops that become vector code of the
// instruction set that the including file is compiled for.
#pragma once

#include <cstdint>

#include "cpu/tiles/layout.h"

namespace qutlass {
namespace {

inline void quantize(const float* x, int cols, int group, int excess, int8_t* codes, float* scale,
                     int32_t* corrections) {
  // As integers, so that NaN is the largest.
  int32_t largest = 0;
  for (int i = 0; i < cols; ++i) {
    int32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7FFFFFFF;
    largest = bits > largest ? bits : largest;
  }
  const bool finite = largest < 0x7F800000;
  float amax;
  __builtin_memcpy(&amax, &largest, sizeof amax);
  // The reciprocal of a smaller scale would not be finite.
  constexpr float kLeast = 0x1p-126f;
  const float step = amax / 127 < kLeast ? kLeast : amax / 127;
  *scale = finite ? step : __builtin_nanf("");
  if (!finite) {
    __builtin_memset(codes, 0, static_cast<size_t>(cols));
    __builtin_memset(corrections, 0, static_cast<size_t>(cols / group) * sizeof *corrections);
    return;
  }
  const float reciprocal = 1 / step;
  for (int g = 0; g < cols / group; ++g) {
    int32_t sum = 0;
    for (int i = g * group; i < (g + 1) * group; ++i) {
      // Adding 1.5 * 2^23 rounds, and leaves the integer in the low bits. The largest is a little more than
      // 127 at most.
      constexpr float kRounder = 12582912.0f;
      constexpr int32_t kRounderBits = 0x4B400000;
      const float sum_with_rounder = x[i] * reciprocal + kRounder;
      int32_t code;
      __builtin_memcpy(&code, &sum_with_rounder, sizeof code);
      code -= kRounderBits;
      codes[i] = static_cast<int8_t>(code);
      sum += code;
    }
    corrections[g] = -excess * sum;
  }
}

inline void finish(const double* sums, const uint8_t* factors, double factor, const float* bias, int count,
                   float* out) {
  double scaled[kTileRows];
  for (int i = 0; i < kTileRows; ++i) {
    float row_factor;
    __builtin_memcpy(&row_factor, factors + i * sizeof row_factor, sizeof row_factor);
    scaled[i] = factor * static_cast<double>(row_factor) * sums[i];
  }
  if (bias) {
    for (int i = 0; i < count; ++i) scaled[i] += static_cast<double>(bias[i]);
  }
  if (count == kTileRows) {
    for (int i = 0; i < kTileRows; ++i) out[i] = static_cast<float>(scaled[i]);
  } else {
    for (int i = 0; i < count; ++i) out[i] = static_cast<float>(scaled[i]);
  }
}

}  // namespace
}  // namespace qutlass
