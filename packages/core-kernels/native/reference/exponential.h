// exp in float32 for loops that are to become vector code.
#pragma once

#include <cstdint>

namespace qutlass {
namespace {  // a copy for each file, which may be compiled for another instruction set

// Within 2 units in the last place where the result is normal; infinity and 0 beyond. x is taken apart into
// n * ln 2 + r, ln 2 in two parts, and exp(r) is Cephes's polynomial (expf.c).
[[gnu::always_inline]] inline float exponential(float x) {
  constexpr float kLowest = -104.0f, kHighest = 89.0f;  // there the result is 0 and infinity
  x = x < kLowest ? kLowest : x;
  x = x > kHighest ? kHighest : x;
  // Adding 1.5 * 2^23 rounds, and leaves the integer in the low bits.
  constexpr float kRounder = 12582912.0f;
  const float sum = x * 1.44269504088896341f + kRounder;
  const int32_t n = __builtin_bit_cast(int32_t, sum) - __builtin_bit_cast(int32_t, kRounder);
  const float multiple = sum - kRounder;
  const float r = x - multiple * 0.693359375f - multiple * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // In two steps, as 2^n may be beyond the normal numbers.
  const int32_t half = n >> 1;
  const float first = __builtin_bit_cast(float, (half + 127) << 23);
  const float second = __builtin_bit_cast(float, (n - half + 127) << 23);
  return p * first * second;
}

}  // namespace
}  // namespace qutlass
