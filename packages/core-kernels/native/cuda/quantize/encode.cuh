// Codes of sixteen elements at once, the same as those of the scalar functions in numerics/elements.h and
// numerics/stochastic.h with fewer instructions. Elements times the multiplier are never NaN here: a group
// with one has no codes.
#pragma once

#include <cuda_runtime.h>

#include <cfloat>
#include <cstdint>
#include <type_traits>

#include "cuda/quantize/tile.cuh"
#include "numerics/group_scale.h"
#include "numerics/stochastic.h"

namespace qutlass::cuda {

// Adding it to a number below 2^22 rounds that to an integer, ties to even, in the low bits of the sum.
inline constexpr float kRounder = 12582912.0f;
inline constexpr uint32_t kRounderBits = 0x4B400000u;

// Bytes of two words, with the sign of a byte in all its bits where the index has 8 added.
__device__ inline uint32_t permuted(uint32_t a, uint32_t b, uint32_t indices) {
  uint32_t bytes;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(a), "r"(b), "r"(indices));
  return bytes;
}

// The bits of a where the mask has ones, and of b elsewhere.
__device__ inline uint32_t merged(uint32_t a, uint32_t b, uint32_t mask) { return (a & mask) | (b & ~mask); }

// The signs of eight numbers, each at the top of four bits.
__device__ inline uint32_t signs_of_eight(const float* x) {
  uint32_t signs[4];  // of elements i and i + 4, in the halves of a word
#pragma unroll
  for (int i = 0; i < 4; ++i) signs[i] = permuted(__float_as_uint(x[i]), __float_as_uint(x[i + 4]), 0xFFBB);
  const uint32_t low = merged(signs[0], signs[1], 0x000F000Fu),
                 high = merged(signs[2], signs[3], 0x0F000F00u);
  return merged(low, high, 0x00FF00FFu) & 0x88888888u;
}

// The topmost bytes of four words.
__device__ inline uint32_t top_bytes(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return permuted(permuted(a, b, 0x0073), permuted(c, d, 0x0073), 0x5410);
}

// For unusual multipliers: makes one eight times as large, and its elements an eighth, of which an eighth
// would lose bits. Elements that lose bits are far below the first code then. Zeros times infinity get the
// code of NaN, which is that of infinity.
__device__ inline void keep_bits(GroupScale& scale, float (&x)[kTile]) {
  const float multiplier = scale.multiplier;
  if (multiplier * 0.125f * 8 == multiplier && multiplier <= FLT_MAX) return;
  scale.multiplier = multiplier * 8;
#pragma unroll
  for (float& value : x) value = value == 0 && multiplier > FLT_MAX ? 1.0f : value * 0.125f;
}

// Eight e2m1 codes. The magnitude a of one is the nearest integer to min(2a, a + 2, a / 2 + 4, 7): the codes
// from 0 to 2 are half steps, those from 2 to 4 steps of 1, those to 6 steps of 2, and each of the three
// lines is below the others where it counts. Rounding keeps their order, and the parity of the sum is that of
// the code, so ties go to even codes. With a cut off at 8, where an instruction does it for nothing, codes
// that should be 7 are 7 or 8.
__device__ inline uint32_t encode_e2m1(const float* x, float eighth) {
  uint32_t pairs[4];  // of elements i and i + 4, in the halves of a word, plus the bits of the rounder
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const auto code = [&](float value) {
      const float a = __saturatef(fabsf(value) * eighth);
      return static_cast<uint32_t>(__vimin3_s32(__float_as_int(fmaf(a, 16.0f, kRounder)),
                                                __float_as_int(fmaf(a, 8.0f, kRounder + 2)),
                                                __float_as_int(fmaf(a, 4.0f, kRounder + 4))));
    };
    pairs[i] = code(x[i + 4]) * 65536 + code(x[i]);  // units that permute bytes have more to do
  }
  uint32_t codes = ((pairs[3] * 16 + pairs[2]) * 16 + pairs[1]) * 16 + pairs[0] - kRounderBits * 0x1111u;
  codes -= (codes & 0x88888888u) >> 3;
  return codes | signs_of_eight(x);
}

// Functions that take `random` round stochastically with it: 16 bits for each element, two to a word.

__device__ inline uint32_t random_bits(const uint32_t* random, int i) {
  return random[i / 2] >> (16 * (i % 2)) & 0xFFFFu;
}

// Eight codes of 4 bits or four of 8. A fine code and its noise as in numerics/stochastic.h, of the element
// times 2^Bias, which makes what is subtracted there a multiple of 2^32 once the code is in the topmost byte.
template <int E, int M, int Bias, uint32_t Top, uint32_t NaN>
__device__ inline uint32_t encode_floats(Minifloat<E, M, Bias, Top, NaN> element, const float* x,
                                         float multiplier, const uint32_t* random) {
  constexpr float kTop = element.decode(Top, false), kBias = 1 << Bias;
  const auto code = [&](int i) {
    const float a = fminf(fabsf(x[i] * multiplier), kTop);
    const int32_t fine =
        __viaddmax_s32(__float_as_int(a), (1 + Bias) << 23, __float_as_int(fmaf(a, kBias, 2.0f)));
    const uint32_t noise = permuted(random[i / 2], 0x80, i % 2 ? 0x5324 : 0x5104);
    return (static_cast<uint32_t>(fine) << (1 + M)) + noise;
  };
  if constexpr (1 + E + M == 4) {
    const uint32_t even = top_bytes(code(0), code(2), code(4), code(6));
    return (top_bytes(code(1), code(3), code(5), code(7)) * 16 + even) | signs_of_eight(x);
  } else {
    const auto bits = [&](int i) { return __float_as_uint(x[i]); };
    return merged(top_bytes(bits(0), bits(1), bits(2), bits(3)),
                  top_bytes(code(0), code(1), code(2), code(3)), 0x80808080u);
  }
}

// Two integers, saturated to codes with a sign: the lower one in the lowest bits, and those of `above` above.
template <int kBits>
__device__ inline uint32_t pack_saturated(int32_t higher, int32_t lower, uint32_t above) {
  uint32_t codes;
  if constexpr (kBits == 4) {
    asm("cvt.pack.sat.s4.s32.b32 %0, %1, %2, %3;" : "=r"(codes) : "r"(higher), "r"(lower), "r"(above));
  } else {
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(codes) : "r"(higher), "r"(lower), "r"(above));
  }
  return codes;
}

// 32 / kBits codes rint(x * multiplier) + zero, clamped to [low, high], where `high` is the last code with so
// many bits and `low` the first or the second.
template <int kBits, typename... Random>
__device__ inline uint32_t encode_integers(const float* x, float multiplier, int32_t zero, int32_t low,
                                           const Random*... random) {
  const auto lowest = static_cast<float>(low - zero);
  // Codes without a sign are half of their number less on the way.
  const int32_t half = low < 0 ? 0 : 1 << (kBits - 1);
  const int32_t offset = zero - half - static_cast<int32_t>(kRounderBits);
  const auto integer = [&](int i) {
    const float value = dithered(x[i] * multiplier, random_bits(random, i)...);
    return __float_as_int(fmaxf(value, lowest) + kRounder) + offset;
  };
  uint32_t codes = 0;
#pragma unroll
  for (int i = 32 / kBits - 2; i >= 0; i -= 2)
    codes = pack_saturated<kBits>(integer(i + 1), integer(i), codes);
  return codes ^ (kBits == 4 ? 0x11111111u : 0x01010101u) * static_cast<uint32_t>(half);
}

// Four fp8 codes.
template <typename Element>
__device__ inline uint32_t encode_fp8(const float* x, float multiplier) {
#if __CUDA_ARCH__ >= 890
  uint16_t pairs[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float low = x[2 * i] * multiplier, high = x[2 * i + 1] * multiplier;
    if constexpr (std::is_same_v<Element, E4M3>) {
      asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pairs[i]) : "f"(high), "f"(low));
    } else {
      asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pairs[i]) : "f"(high), "f"(low));
    }
  }
  return pairs[0] | static_cast<uint32_t>(pairs[1]) << 16;
#else
  uint32_t codes = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) codes |= uint32_t{Element::encode(x[i] * multiplier)} << (8 * i);
  return codes;
#endif
}

template <typename Element>
__device__ inline uint32_t encode_fp8(const float* x, float multiplier, const uint32_t* random) {
  return encode_floats(Element(), x, multiplier, random);
}

// encode(first): the codes of a word, from element `first` on.
template <typename Encode>
__device__ inline void encode_words(int words, int per_word, TileCodes& codes, const Encode& encode) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < words) codes[i] = encode(i * per_word);
  }
}

// Of a multiplier of which an eighth has all its bits.
__device__ inline void encode_e2m1_tile(const GroupScale& scale, const float (&x)[kTile], TileCodes& codes) {
  const uint32_t mask = scale.is_nan() ? 0 : 0xFFFFFFFFu;
  const float eighth = scale.multiplier * 0.125f;
  encode_words(2, 8, codes, [&](int first) { return encode_e2m1(x + first, eighth) & mask; });
}

__device__ inline void encode_e2m1_tile(const GroupScale& scale, const float (&x)[kTile], TileCodes& codes,
                                        const uint32_t* random) {
  const uint32_t mask = scale.is_nan() ? 0 : 0xFFFFFFFFu;
  encode_words(2, 8, codes, [&](int first) {
    return encode_floats(E2M1(), x + first, scale.multiplier, random + first / 2) & mask;
  });
}

template <typename... Random>
__device__ inline void encode_int4_tile(const qutlass_format& format, const GroupScale& scale,
                                        const float (&x)[kTile], TileCodes& codes, const Random*... random) {
  const uint32_t mask = scale.is_nan() ? 0 : 0xFFFFFFFFu;
  const int32_t low = format.element == QUTLASS_INT4 ? -8 : 0;
  encode_words(2, 8, codes, [&](int first) {
    return encode_integers<4>(x + first, scale.multiplier, scale.zero_point, low, (random + first / 2)...) &
           mask;
  });
}

// Any element that is quantized to.
template <typename... Random>
__device__ inline void encode_tile(const qutlass_format& format, GroupScale scale, float (&x)[kTile],
                                   TileCodes& codes, const Random*... random) {
  const float multiplier = scale.multiplier;
  const int32_t zero = scale.zero_point;
  switch (format.element) {
    case QUTLASS_E2M1: keep_bits(scale, x); return encode_e2m1_tile(scale, x, codes, random...);
    case QUTLASS_E4M3:
      encode_words(4, 4, codes, [&](int first) {
        return encode_fp8<E4M3>(x + first, multiplier, (random + first / 2)...);
      });
      break;
    case QUTLASS_E5M2:
      encode_words(4, 4, codes, [&](int first) {
        return encode_fp8<E5M2>(x + first, multiplier, (random + first / 2)...);
      });
      break;
    case QUTLASS_INT8: {
      const int32_t low = format.zero_point ? -128 : -127;
      encode_words(4, 4, codes, [&](int first) {
        return encode_integers<8>(x + first, multiplier, zero, low, (random + first / 2)...);
      });
      break;
    }
    case QUTLASS_INT4:
    case QUTLASS_UINT4: return encode_int4_tile(format, scale, x, codes, random...);
    default:
      encode_words(2, 8, codes, [&](int first) {
        uint32_t word = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          word |= uint32_t{encode_nf4(x[first + i] * multiplier, random_bits(random, first + i)...)}
                  << (4 * i);
        }
        return word;
      });
  }
  if (scale.is_nan()) codes[0] = codes[1] = codes[2] = codes[3] = 0;
}

// A bit for each element that QuEST does not clip: the sign of |x| - 6.
__device__ inline uint32_t clip_mask_tile(const GroupScale& scale, const float (&x)[kTile]) {
  uint32_t mask = 0;
#pragma unroll
  for (int i = kTile - 1; i >= 0; --i) {
    mask = __funnelshift_l(__float_as_uint(fabsf(x[i] * scale.multiplier) - 6), mask, 1);
  }
  return scale.is_nan() ? 0 : mask;
}

}  // namespace qutlass::cuda
