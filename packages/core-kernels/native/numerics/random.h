// Random numbers for tests and benchmarks, the same bits on every device.
#pragma once

#include <cmath>

#include "numerics/philox.h"

namespace qutlass {

// Fills take other draws than sampling with the same seed.
inline constexpr uint32_t kFillStream = 0x66696C6Cu;

// 16 random bytes for position i.
QUTLASS_HD constexpr std::array<uint32_t, 4> random_words(uint64_t seed, int64_t i) {
  return philox(seed, {static_cast<uint32_t>(i), static_cast<uint32_t>(static_cast<uint64_t>(i) >> 32),
                       kFillStream, 0});
}

// The sum of eight uniform 16-bit numbers has this standard deviation; random_bell is exact but for the
// rounding of one product, so that no device's logarithm or cosine comes into it.
inline float bell_factor(float deviation) {
  return static_cast<float>(static_cast<double>(deviation) / std::sqrt(8.0 / 12.0 * (0x1p32 - 1)));
}

// Number i with mean 0 and a bell shape. factor: bell_factor.
QUTLASS_HD inline float random_bell(uint64_t seed, int64_t i, float factor) {
  int32_t sum = -4 * 0xFFFF;
  for (const uint32_t word : random_words(seed, i))
    sum += static_cast<int32_t>((word & 0xFFFFu) + (word >> 16));
  return static_cast<float>(sum) * factor;
}

}  // namespace qutlass
