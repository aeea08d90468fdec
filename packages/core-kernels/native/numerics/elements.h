// The elements of quantized formats: codes to values and back. Encoding rounds to nearest, ties to the even
// code, saturates to the largest finite value and keeps the sign of zero. NaN becomes the NaN code where
// there is one, +6 in e2m1 (as the PTX conversion does), the largest value in e2m3 and e3m2, and 0 in the
// integers.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "numerics/host_device.h"
#include "numerics/select.h"
#include "qutlass.h"

namespace qutlass {

// A sign bit, `E` exponent bits, `M` mantissa bits; `Top` is the largest finite code without its sign.
template <int E, int M, int Bias, uint32_t Top, uint32_t NaN>
struct Minifloat {
  static constexpr uint32_t kSign = 1u << (E + M);

  // Without branches, so that loops over it become vector code.
  QUTLASS_HD static uint8_t encode(float x) {
#ifdef __CUDA_ARCH__
    return encode_in_kernel(x);
#else
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t sign = bits >> 31 ? kSign : 0;
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    constexpr uint32_t kMinNormal = static_cast<uint32_t>(128 - Bias) << 23;
    // The last bit of this number is worth one subnormal step, so the addition rounds to steps.
    constexpr uint32_t kSteps = kMinNormal + (static_cast<uint32_t>(23 - M) << 23);
    const float sum = std::bit_cast<float>(magnitude) + std::bit_cast<float>(kSteps);
    const uint32_t subnormal = std::bit_cast<uint32_t>(sum) - kSteps;
    // A carry of the rounding runs into the exponent.
    const uint32_t rounded = magnitude + ((magnitude >> (23 - M)) & 1u) + (1u << (22 - M)) - 1u;
    const uint32_t normal = (rounded >> (23 - M)) - (static_cast<uint32_t>(127 - Bias) << M);
    const uint32_t code = select(magnitude < kMinNormal, subnormal, normal);
    const uint32_t finite = sign | select(code < Top, code, Top);
    return static_cast<uint8_t>(select(magnitude > 0x7F800000u, NaN == Top ? NaN : sign | NaN, finite));
#endif
  }

  QUTLASS_HD static constexpr float decode(uint32_t code, bool ieee_specials) {
    const uint32_t magnitude = code & (kSign - 1);
    // The code at the place of float32's exponent and mantissa, where only the bias differs: by a factor.
    const float value = std::bit_cast<float>(magnitude << (23 - M)) *
                        std::bit_cast<float>(static_cast<uint32_t>(254 - Bias) << 23);
    const bool infinite = ieee_specials && (magnitude & ((1u << M) - 1)) == 0;
    const uint32_t special = infinite ? 0x7F800000u : 0x7FC00000u;
    const uint32_t bits = magnitude > Top ? special : std::bit_cast<uint32_t>(value);
    return std::bit_cast<float>(bits | (code & kSign ? 0x80000000u : 0u));
  }

#ifdef __CUDACC__
 private:
  // The same with fewer instructions, where vectors of a CPU would not have them.
  __device__ static uint8_t encode_in_kernel(float x) {
    const uint32_t bits = __float_as_uint(x);
    const uint32_t sign = bits >> 31 ? kSign : 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    if constexpr (E + M == 7) {
      uint16_t pair;
      if constexpr (M == 3) {
        asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
      } else {
        asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
      }
      return static_cast<uint8_t>(x == x ? pair : sign | NaN);
    }
#endif
    constexpr int32_t kMinNormal = (128 - Bias) << 23;
    const float finite = fminf(fabsf(x), decode(Top, false));
    // The power of two below, and a number whose last bit is worth one step of the mantissa there: adding it
    // rounds.
    const int32_t power = max(__float_as_int(finite) & 0x7F800000, kMinNormal);
    const int32_t rounder = power + ((23 - M) << 23);
    const int32_t steps = __float_as_int(finite + __int_as_float(rounder)) - rounder;
    const uint32_t code = sign | static_cast<uint32_t>(steps + ((power - kMinNormal) >> (23 - M)));
    return static_cast<uint8_t>(x == x ? code : NaN == Top ? NaN : sign | NaN);
  }
#endif
};

using E2M1 = Minifloat<2, 1, 1, 7, 7>;
using E2M3 = Minifloat<2, 3, 1, 31, 31>;
using E3M2 = Minifloat<3, 2, 3, 31, 31>;
using E4M3 = Minifloat<4, 3, 7, 0x7E, 0x7F>;
using E5M2 = Minifloat<5, 2, 15, 0x7B, 0x7F>;

// QLoRA (Dettmers et al. 2023), appendix E: quantiles of N(0,1) scaled to [-1, 1].
inline constexpr std::array<float, 16> kNf4 = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

QUTLASS_HD inline uint8_t encode_nf4(float x) {
  constexpr auto kValues = kNf4;  // kernels cannot read a variable of the host
  uint32_t code = 0;
  for (uint32_t i = 0; i < 15; ++i) {
    const float middle = (kValues[i] + kValues[i + 1]) * 0.5f;
    // A tie goes to the even of the codes i and i + 1.
    code += i % 2 == 1 ? x >= middle : x > middle;
  }
  return static_cast<uint8_t>(select(x == x, code, 7));
}

// rint(x) clamped; NaN to 0.
QUTLASS_HD inline int32_t encode_integer(float x, int32_t low, int32_t high) {
  // In this order of arguments NaN becomes `low`, and loops over the function become vector code.
  const float clamped = std::min(std::max(static_cast<float>(low), x), static_cast<float>(high));
  // Adding 1.5 * 2^23 rounds, and leaves the integer in the low bits; bounds are far below 2^22.
  constexpr float kRounder = 12582912.0f;
  const uint32_t code = std::bit_cast<uint32_t>(clamped + kRounder) - std::bit_cast<uint32_t>(kRounder);
  return static_cast<int32_t>(select(x == x, code, 0));
}

// The smallest power of two that is not below x; 0xFF for NaN, infinite and negative x.
QUTLASS_HD inline uint8_t encode_e8m0(float x) {
  if (x >= 0 && x <= 0x1p-127f) return 0;  // subnormal in float32
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if (bits >= 0x7F800000u) return 0xFF;
  const uint32_t byte = (bits + 0x7FFFFFu) >> 23;
  return static_cast<uint8_t>(byte < 254 ? byte : 254);
}

QUTLASS_HD constexpr float decode_e8m0(uint8_t byte) {
  if (byte == 0xFF) return std::bit_cast<float>(0x7FC00000u);
  return byte ? std::bit_cast<float>(static_cast<uint32_t>(byte) << 23) : std::bit_cast<float>(0x00400000u);
}

QUTLASS_HD inline uint8_t encode_element(int32_t element, float x) {
  switch (element) {
    case QUTLASS_E2M1: return E2M1::encode(x);
    case QUTLASS_E2M3: return E2M3::encode(x);
    case QUTLASS_E3M2: return E3M2::encode(x);
    case QUTLASS_E4M3: return E4M3::encode(x);
    case QUTLASS_E5M2: return E5M2::encode(x);
    case QUTLASS_E8M0: return encode_e8m0(x);
    case QUTLASS_INT8: return static_cast<uint8_t>(encode_integer(x, -128, 127));
    case QUTLASS_INT4: return static_cast<uint8_t>(encode_integer(x, -8, 7) & 15);
    case QUTLASS_UINT4: return static_cast<uint8_t>(encode_integer(x, 0, 15));
    default: return encode_nf4(x);
  }
}

QUTLASS_HD constexpr float decode_element(int32_t element, uint8_t code) {
  switch (element) {
    case QUTLASS_E2M1: return E2M1::decode(code & 15u, false);
    case QUTLASS_E2M3: return E2M3::decode(code & 63u, false);
    case QUTLASS_E3M2: return E3M2::decode(code & 63u, false);
    case QUTLASS_E4M3: return E4M3::decode(code, false);
    case QUTLASS_E5M2: return E5M2::decode(code, true);
    case QUTLASS_E8M0: return decode_e8m0(code);
    case QUTLASS_INT8: return static_cast<float>(static_cast<int8_t>(code));
    case QUTLASS_INT4: return static_cast<float>(static_cast<int32_t>(code & 15u) - ((code & 8u) ? 16 : 0));
    case QUTLASS_UINT4: return static_cast<float>(code & 15u);
    default: {
      constexpr auto kValues = kNf4;
      return kValues[code & 15u];
    }
  }
}

using DecodeTable = std::array<float, 256>;

// The values of all byte codes; codes of fewer bits repeat.
inline const DecodeTable& decode_table(int32_t element) {
  static constexpr auto kTables = [] {
    std::array<DecodeTable, QUTLASS_ELEMENT_COUNT> tables{};
    for (int32_t e = 0; e < QUTLASS_ELEMENT_COUNT; ++e) {
      for (uint32_t code = 0; code < 256; ++code)
        tables[e][code] = decode_element(e, static_cast<uint8_t>(code));
    }
    return tables;
  }();
  return kTables[static_cast<size_t>(element)];
}

// Bits that one code takes in memory.
QUTLASS_HD constexpr int32_t element_storage_bits(int32_t element) {
  return element == QUTLASS_E2M1 || element == QUTLASS_INT4 || element == QUTLASS_UINT4 ||
                 element == QUTLASS_NF4
             ? 4
             : 8;
}

// Element i of packed codes.
QUTLASS_HD inline uint8_t load_code(const void* codes, int32_t storage_bits, int64_t i) {
  const auto* bytes = static_cast<const uint8_t*>(codes);
  if (storage_bits == 8) return bytes[i];
  return i & 1 ? bytes[i >> 1] >> 4 : bytes[i >> 1] & 15;
}

// Codes of a byte each, 2 * bytes of them, to packed codes.
inline void pack_nibbles(const uint8_t* codes, int64_t bytes, uint8_t* packed) {
  for (int64_t i = 0; i < bytes; ++i) {
    packed[i] = static_cast<uint8_t>((codes[2 * i] & 15) | (codes[2 * i + 1] << 4));
  }
}

}  // namespace qutlass
