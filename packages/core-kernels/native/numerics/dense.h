// Dense number types: bf16 and f16 bits to float32 and back, round to nearest even.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "qutlass.h"

namespace qutlass {

inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

inline uint16_t f32_to_bf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);  // keep NaN a NaN
  bits += 0x7FFFu + ((bits >> 16) & 1u);
  return static_cast<uint16_t>(bits >> 16);
}

inline float f16_to_f32(uint16_t bits) { return static_cast<float>(std::bit_cast<_Float16>(bits)); }

inline uint16_t f32_to_f16(float value) { return std::bit_cast<uint16_t>(static_cast<_Float16>(value)); }

// Element i of a tensor in F32, BF16 or F16.
inline float load_dense(const void* data, int32_t dtype, int64_t i) {
  switch (dtype) {
    case QUTLASS_BF16: return bf16_to_f32(static_cast<const uint16_t*>(data)[i]);
    case QUTLASS_F16: return f16_to_f32(static_cast<const uint16_t*>(data)[i]);
    default: return static_cast<const float*>(data)[i];
  }
}

inline void store_dense(void* data, int32_t dtype, int64_t i, float value) {
  switch (dtype) {
    case QUTLASS_BF16: static_cast<uint16_t*>(data)[i] = f32_to_bf16(value); break;
    case QUTLASS_F16: static_cast<uint16_t*>(data)[i] = f32_to_f16(value); break;
    default: static_cast<float*>(data)[i] = value; break;
  }
}

// A double rounded once to the dtype. Going through float32 could round twice, so the float32 in between is
// rounded to odd: inexact results get an odd last bit, which no later rounding can mistake for a tie.
inline void store_dense_once(void* data, int32_t dtype, int64_t i, double value) {
  float narrow = static_cast<float>(value);
  if (dtype != QUTLASS_F32 && static_cast<double>(narrow) != value && value == value) {
    uint32_t bits = std::bit_cast<uint32_t>(narrow);
    const bool away = (value > 0) == (static_cast<double>(narrow) > value);
    if (away) bits -= 1;  // towards zero
    narrow = std::bit_cast<float>(bits | 1u);
  }
  store_dense(data, dtype, i, narrow);
}

}  // namespace qutlass
