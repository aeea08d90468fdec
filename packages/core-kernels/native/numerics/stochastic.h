// Stochastic rounding: an element becomes one of the two codes beside it, each with a probability that falls
// with its distance, so that sums keep their expectation. As rounding to the nearest after adding a random
// part of a step, or, the same, as cutting off bits after adding random ones.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "numerics/elements.h"
#include "numerics/host_device.h"
#include "numerics/philox.h"

namespace qutlass {

// Rounding takes other draws than sampling and fills with the same seed.
inline constexpr uint32_t kRoundingStream = 0x726F756Eu;
// Columns that share a counter, 16 bits to each.
inline constexpr int kRandomColumns = 8;

// The counter of the columns of a row from `col` on, a multiple of kRandomColumns. They are rounded with what
// is drawn for it: the lower half of each word is that of the first of two columns.
QUTLASS_HD constexpr PhiloxWords rounding_counter(uint32_t draw, int64_t row, int64_t col) {
  return {static_cast<uint32_t>(col / kRandomColumns), static_cast<uint32_t>(row), kRoundingStream, draw};
}

// (random + 1/2) / 2^16 of 16 random bits, exact.
QUTLASS_HD inline float random_fraction(uint32_t random) {
  return std::bit_cast<float>(0x3F800040u | random << 7) - 1;
}

// A code of an element with its sign left out, and the bits below it: those of the mantissa of a normal
// number. Adding the smallest normal number to a smaller one puts its bits at the same place.
template <int E, int M, int Bias, uint32_t Top, uint32_t NaN>
QUTLASS_HD inline int32_t fine_code(Minifloat<E, M, Bias, Top, NaN> element, float x) {
  constexpr int32_t kMinNormal = (128 - Bias) << 23;
  constexpr auto kTop = std::bit_cast<int32_t>(element.decode(Top, false));
  const int32_t magnitude = std::min(std::bit_cast<int32_t>(x) & 0x7FFFFFFF, kTop);
  const float raised = std::bit_cast<float>(magnitude) + std::bit_cast<float>(kMinNormal);
  return std::max(std::bit_cast<int32_t>(raised), magnitude + (1 << 23)) - kMinNormal;
}

// What rounds a fine code when the bits below the code are cut off after adding it.
template <int E, int M, int Bias, uint32_t Top, uint32_t NaN>
QUTLASS_HD constexpr int32_t fine_noise(Minifloat<E, M, Bias, Top, NaN>, uint32_t random) {
  return static_cast<int32_t>(random << (7 - M) | 1u << (6 - M));
}

template <int E, int M, int Bias, uint32_t Top, uint32_t NaN>
QUTLASS_HD constexpr int32_t code_of_fine(Minifloat<E, M, Bias, Top, NaN>, int32_t fine) {
  return fine >> (23 - M);
}

// The functions below encode x, which is not NaN, with 16 random bits.

template <typename Element>
QUTLASS_HD inline uint8_t encode_float(float x, uint32_t random) {
  constexpr Element kElement;
  const int32_t code = code_of_fine(kElement, fine_code(kElement, x) + fine_noise(kElement, random));
  return static_cast<uint8_t>(static_cast<uint32_t>(code) |
                              (std::bit_cast<uint32_t>(x) >> 31 ? Element::kSign : 0));
}

// x plus a random number between -1/2 and 1/2, to be rounded to the nearest integer.
QUTLASS_HD inline float dithered(float x, uint32_t random) { return x + (random_fraction(random) - 0.5f); }

QUTLASS_HD inline uint8_t encode_nf4(float x, uint32_t random) {
  constexpr auto kValues = kNf4;  // kernels cannot read a variable of the host
  const float fraction = random_fraction(random);
  uint32_t code = 0;
  for (uint32_t i = 0; i < 15; ++i) code += x > kValues[i] + fraction * (kValues[i + 1] - kValues[i]);
  return static_cast<uint8_t>(code);
}

// To nearest, so that one name serves both ways.
template <typename Element>
QUTLASS_HD inline uint8_t encode_float(float x) {
  return Element::encode(x);
}
QUTLASS_HD constexpr float dithered(float x) { return x; }

}  // namespace qutlass
