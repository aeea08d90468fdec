// Words of codes to bf16 operands, as few instructions as there are. All but nf4 are exact.
#pragma once

#include "cuda/atoms/nf4_values.cuh"
#include "cuda/skinny/tiles.h"

namespace qutlass::cuda {

__device__ inline uint32_t multiply_add_bf16(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
__device__ inline uint32_t multiply_bf16(uint32_t a, uint32_t b) {
  return multiply_add_bf16(a, b, 0x80008000u);
}

// What expanding takes besides codes, for the rows of registers 0 and 2, and 1 and 3, twice: the scale of 16
// elements, or what an integer is added to, minus its zero point in units of kIntegerUnit.
struct RowParts {
  uint32_t even, odd;
};

// Steps in the 16 bytes of a lane, and words in a step.
template <TileCode kCode>
inline constexpr int kStepsPerUnit = is_wide(kCode) ? 2 : 4;
template <TileCode kCode>
inline constexpr int kWordsPerStep = is_wide(kCode) ? 2 : 1;

// The low eight bits of a bf16 without others are an integer times 2^-133, subnormal or not. So a mask and
// one multiplication make integers, in a unit that 2^127 can reach.
inline constexpr float kIntegerUnit = 0x1p-6f;
inline constexpr uint32_t kIntegerFactor = 0x7F007F00u;    // 2^127
inline constexpr uint32_t kInteger16Factor = 0x7D007D00u;  // 2^123, for those that are 16 times as large

// Nibble i of a half word is that half of register i.
__device__ inline void expand_int4(uint32_t word, const RowParts& parts, uint32_t (&a)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i += 2) {
    a[i] = multiply_add_bf16(word & 0x000F000Fu, kIntegerFactor, parts.even);
    a[i + 1] = multiply_add_bf16(word & 0x00F000F0u, kInteger16Factor, parts.odd);
    word >>= 8;
  }
}

// Sign and magnitude of e2m1 at the places of sign, last bits of the exponent and first of the mantissa are
// the value times 2^-126, subnormal numbers included. One mask takes them out of the word shifted by 0, 3 and
// 6; the bits that are left make the fourth. See pack_e2m1.
__device__ inline void place_e2m1(uint32_t word, uint32_t (&a)[4]) {
  constexpr uint32_t kMask = 0x81C081C0u;
  a[0] = word & kMask;
  a[1] = word << 3 & kMask;
  a[2] = word << 6 & kMask;
  a[3] = (word << 1 & 0x80008000u) | (word >> 5 & 0x01000100u) | (word >> 4 & 0x00C000C0u);
}

// The half of a word that place_e2m1 takes apart, from codes of 4 bits.
QUTLASS_HD inline uint32_t pack_e2m1(const uint32_t (&codes)[4]) {
  const auto sign = [&](int i) { return codes[i] >> 3 & 1u; };
  const auto magnitude = [&](int i) { return codes[i] & 7u; };
  return sign(0) << 15 | magnitude(0) << 6 | sign(1) << 12 | magnitude(1) << 3 | sign(2) << 9 | magnitude(2) |
         sign(3) << 14 | (magnitude(3) >> 2) << 13 | (magnitude(3) & 3u) << 10;
}

// A step of codes to the four registers of A, times 1 / kSumFactor. Bytes 0 and 2 are the halves of an even
// register, 1 and 3 those of an odd one.
template <TileCode kCode>
__device__ inline void expand(const uint32_t* words, const RowParts& parts, uint32_t (&a)[4]) {
  if constexpr (kCode == TileCode::kInt4) {
    expand_int4(words[0], parts, a);
  } else if constexpr (kCode == TileCode::kE2M1) {
    place_e2m1(words[0], a);
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = multiply_bf16(a[i], 0x7E807E80u);  // 2^126
  } else if constexpr (kCode == TileCode::kE2M1By16) {
    place_e2m1(words[0], a);
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = multiply_bf16(a[i], i % 2 ? parts.odd : parts.even);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t word = words[i / 2];
      if constexpr (kCode == TileCode::kInt8) {
        a[i] = multiply_add_bf16(i % 2 ? __byte_perm(word, 0, 0x4341) : word & 0x00FF00FFu, kIntegerFactor,
                                 i % 2 ? parts.odd : parts.even);
      } else {
        // As e2m1: the value times 2^-120 or 2^-112.
        constexpr bool kE4M3 = kCode == TileCode::kE4M3;
        const uint32_t high = i % 2 ? word : word << 8;
        const uint32_t magnitude = kE4M3 ? high >> 4 & 0x07F007F0u : high >> 3 & 0x0FE00FE0u;
        a[i] = multiply_bf16((high & 0x80008000u) | magnitude, kE4M3 ? 0x7B807B80u : 0x77807780u);
      }
    }
  }
}

// nf4 in shared memory, since it has no arithmetic: what the two codes in a byte, those of a register, stand
// for, as two bf16 numbers each that have them as their sum up to 2^-17. A lane reads 8 bytes; copies keep
// lanes in different banks.
class Nf4Table {
  static constexpr int kCopies = 16;

 public:
  static constexpr int kBytes = 256 * kCopies * 8;

  // By all threads, which meet before they use it.
  __device__ static void fill(uint8_t* table) {
    for (int i = static_cast<int>(threadIdx.x); i < 256 * kCopies; i += static_cast<int>(blockDim.x)) {
      const uint32_t codes = static_cast<uint32_t>(i / kCopies);
      uint2 pair{};
      for (int half = 0; half < 2; ++half) {
        const float value = kNf4Values[codes >> 4 * half & 0xFu];
        const uint16_t high = f32_to_bf16(value), low = f32_to_bf16(value - bf16_to_f32(high));
        pair.x |= static_cast<uint32_t>(high) << 16 * half;
        pair.y |= static_cast<uint32_t>(low) << 16 * half;
      }
      reinterpret_cast<uint2*>(table)[i] = pair;
    }
  }

  __device__ explicit Nf4Table(const uint8_t* table) : own_(table + threadIdx.x % kCopies * 8) {}

  // A word of codes to the registers of two operands.
  __device__ void expand(uint32_t word, uint32_t (&high)[4], uint32_t (&low)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint2 pair = *reinterpret_cast<const uint2*>(own_ + (word >> 8 * i & 0xFFu) * (kCopies * 8));
      high[i] = pair.x;
      low[i] = pair.y;
    }
  }

 private:
  const uint8_t* own_;
};

// A pair of e4m3 scales in bytes 0 and 1, times 2^118, so that they times e2m1 as placed are 2^-8 of the
// value.
__device__ inline RowParts expand_scales_by_16(uint32_t pair) {
  uint32_t scales = __byte_perm(pair, 0, 0x4140) << 4;  // times 2^-120; scales have no sign
  scales = multiply_bf16(multiply_bf16(scales, 0x7B007B00u), 0x7B007B00u);
  return {__byte_perm(scales, 0, 0x1010), __byte_perm(scales, 0, 0x3232)};
}

template <TileCode kCode>
inline constexpr float kSumFactor = kCode == TileCode::kE2M1By16                           ? 256
                                    : kCode == TileCode::kInt4 || kCode == TileCode::kInt8 ? 1 / kIntegerUnit
                                                                                           : 1;

// The same, as int8 operands of integer instructions: int4 without zero points comes 16 times as large.
template <TileCode kCode, bool kZeroPoints>
inline constexpr float kIntegerSumFactor = kCode == TileCode::kInt4 && !kZeroPoints ? 1 / 16.0f : 1;

// The parts of integers without zero points.
template <TileCode kCode>
inline constexpr RowParts kExcess = kCode == TileCode::kInt8 ? RowParts{0xC000C000u, 0xC000C000u}   // -128
                                                             : RowParts{0xBE00BE00u, 0xBE00BE00u};  // -8

}  // namespace qutlass::cuda
