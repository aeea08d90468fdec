// Dense number types: bf16 and f16 bits to float32 and back, round to nearest even.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

#include "numerics/host_device.h"
#include "numerics/select.h"
#include "qutlass.h"

namespace qutlass {

QUTLASS_HD inline float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

QUTLASS_HD inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
#ifdef __CUDA_ARCH__
  const uint32_t rounded = static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(value))) << 16;
#else
  const uint32_t rounded = bits + 0x7FFFu + (bits >> 16 & 1u);
#endif
  const uint32_t nan = bits | 0x400000u;  // not to become infinite
  return static_cast<uint16_t>(select(value == value, rounded, nan) >> 16);
}

// The instructions of a GPU make every NaN the same; its sign stays, as on the CPU.
QUTLASS_HD inline float f16_to_f32(uint16_t bits) {
#ifdef __CUDA_ARCH__
  const uint32_t nan = (bits & 0x8000u) << 16 | 0x7F800000u | (bits & 0x3FFu) << 13;
  return (bits & 0x7FFFu) > 0x7C00u ? std::bit_cast<float>(nan) : __half2float(__ushort_as_half(bits));
#else
  return static_cast<float>(std::bit_cast<_Float16>(bits));
#endif
}

QUTLASS_HD inline uint16_t f32_to_f16(float value) {
#ifdef __CUDA_ARCH__
  const uint32_t sign = std::bit_cast<uint32_t>(value) >> 16 & 0x8000u;
  return value != value ? static_cast<uint16_t>(sign | 0x7E00u) : __half_as_ushort(__float2half_rn(value));
#else
  return std::bit_cast<uint16_t>(static_cast<_Float16>(value));
#endif
}

// Element i of a tensor in F32, BF16 or F16.
QUTLASS_HD inline float load_dense(const void* data, int32_t dtype, int64_t i) {
  switch (dtype) {
    case QUTLASS_BF16: return bf16_to_f32(static_cast<const uint16_t*>(data)[i]);
    case QUTLASS_F16: return f16_to_f32(static_cast<const uint16_t*>(data)[i]);
    default: return static_cast<const float*>(data)[i];
  }
}

QUTLASS_HD inline void store_dense(void* data, int32_t dtype, int64_t i, float value) {
  switch (dtype) {
    case QUTLASS_BF16: static_cast<uint16_t*>(data)[i] = f32_to_bf16(value); break;
    case QUTLASS_F16: static_cast<uint16_t*>(data)[i] = f32_to_f16(value); break;
    default: static_cast<float*>(data)[i] = value; break;
  }
}

// The float32 that rounds to fewer bits as the double would. Rounding to the nearest twice could go wrong, so
// this one is rounded to odd: inexact results get an odd last bit, which no later rounding can mistake for a
// tie.
QUTLASS_HD inline float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || value != value) return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  const bool away = (value > 0) == (static_cast<double>(nearest) > value);
  if (away) bits -= 1;  // towards zero
  return std::bit_cast<float>(bits | 1u);
}

// A double rounded once to the dtype.
QUTLASS_HD inline void store_dense_once(void* data, int32_t dtype, int64_t i, double value) {
  store_dense(data, dtype, i, dtype == QUTLASS_F32 ? static_cast<float>(value) : round_to_odd(value));
}

}  // namespace qutlass
