// What happens to rows before and after they are multiplied, as loops that become vector code of the
// instruction set that the including file is compiled for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/tiles/layout.h"

namespace qutlass {
namespace {

inline float int8_scale(const float* x, int64_t cols) {
  // As integers, so that NaN is the largest.
  int32_t largest = 0;
  for (int64_t i = 0; i < cols; ++i) {
    int32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7FFFFFFF;
    largest = bits > largest ? bits : largest;
  }
  if (largest >= 0x7F800000) return __builtin_nanf("");
  float amax;
  __builtin_memcpy(&amax, &largest, sizeof amax);
  // The reciprocal of a smaller scale would not be finite.
  constexpr float kLeast = 0x1p-126f;
  return amax / 127 < kLeast ? kLeast : amax / 127;
}

inline void round(const float* x, int64_t cols, float scale, int8_t* codes) {
  if (scale != scale) {
    __builtin_memset(codes, 0, static_cast<size_t>(cols));
    return;
  }
  const float reciprocal = 1 / scale;
  for (int64_t i = 0; i < cols; ++i) {
    // Adding 1.5 * 2^23 rounds, and leaves the integer in the low bits. The largest is a little more than 127
    // at most.
    constexpr float kRounder = 12582912.0f;
    constexpr int32_t kRounderBits = 0x4B400000;
    const float sum = x[i] * reciprocal + kRounder;
    int32_t code;
    __builtin_memcpy(&code, &sum, sizeof code);
    codes[i] = static_cast<int8_t>(code - kRounderBits);
  }
}

inline void correct(const int8_t* codes, int64_t cols, int64_t group, int excess, int32_t* corrections) {
  for (int64_t begin = 0; begin < cols; begin += group) {
    int32_t sum = 0;
    for (int64_t i = begin; i < begin + group; ++i) sum += codes[i];
    *corrections++ = -excess * sum;
  }
}

inline void finish(const double* sums, int rows, const double* row_factors, const uint8_t* factors,
                   const float* bias, int count, float* out, int64_t stride) {
  double columns[kTileRows], biases[kTileRows] = {};
  for (int i = 0; i < kTileRows; ++i) {
    float factor;
    __builtin_memcpy(&factor, factors + i * sizeof factor, sizeof factor);
    columns[i] = static_cast<double>(factor);
  }
  if (bias) {
    for (int i = 0; i < count; ++i) biases[i] = static_cast<double>(bias[i]);
  }
  for (int m = 0; m < rows; ++m, sums += kTileRows, out += stride) {
    float rounded[kTileRows];
    for (int i = 0; i < kTileRows; ++i) {
      rounded[i] = static_cast<float>(row_factors[m] * columns[i] * sums[i] + biases[i]);
    }
    if (count == kTileRows) {
      __builtin_memcpy(out, rounded, sizeof rounded);
    } else {
      __builtin_memcpy(out, rounded, static_cast<size_t>(count) * sizeof(float));
    }
  }
}

}  // namespace
}  // namespace qutlass
