// Codes of sixteen elements at once, the same as those of the scalar functions in numerics/elements.h and
// numerics/stochastic.h with fewer instructions. Elements times the multiplier are never NaN here: a group
// with one has no codes.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "cuda/quantize/tile.cuh"
#include "numerics/group_scale.h"
#include "numerics/stochastic.h"

namespace qutlass::cuda {

// Adding it to a number below 2^22 rounds that to an integer, ties to even, in the low bits of the sum.
inline constexpr float kRounder = 12582912.0f;
inline constexpr uint32_t kRounderBits = 0x4B400000u;

// Eight e2m1 codes. The magnitude a of one is the nearest integer to min(2a, a + 2, a / 2 + 4, 7): the codes
// from 0 to 2 are half steps, those from 2 to 4 steps of 1, those to 6 steps of 2, and each of the three
// lines is below the others where it counts. Rounding keeps their order, and the parity of the sum is that of
// the code, so ties go to even codes.
__device__ inline uint32_t encode_e2m1(const float* x, float multiplier) {
  uint32_t codes = 0, signs = 0;
#pragma unroll
  for (int i = 7; i >= 0; --i) {
    const float scaled = x[i] * multiplier, a = fabsf(scaled);
    const int32_t code =
        min(__vimin3_s32(__float_as_int(fmaf(a, 2.0f, kRounder)), __float_as_int(a + (kRounder + 2)),
                         __float_as_int(fmaf(a, 0.5f, kRounder + 4))),
            __float_as_int(kRounder + 7));
    // The rounder comes off all eight sums at once.
    codes = codes * 16 + static_cast<uint32_t>(code);
    signs = __funnelshift_l(__float_as_uint(scaled), signs, 4);  // the topmost bit is the sign
  }
  codes -= kRounderBits * 0x11111111u;
  return (codes & 0x77777777u) | (signs & 0x88888888u);
}

// Functions that take `random` round stochastically with it: 16 bits for each element, two to a word.

__device__ inline uint32_t random_bits(const uint32_t* random, int i) {
  return random[i / 2] >> (16 * (i % 2)) & 0xFFFFu;
}

// 32 / kBits codes of floats.
template <typename Element, int kBits>
__device__ inline uint32_t encode_floats(const float* x, float multiplier, const uint32_t* random) {
  constexpr Element kElement;
  uint32_t codes = 0, signs = 0;
#pragma unroll
  for (int i = 32 / kBits - 1; i >= 0; --i) {
    const float scaled = x[i] * multiplier;
    const int32_t noise = fine_noise(kElement, random_bits(random, i));
    const int32_t code = code_of_fine(kElement, fine_code(kElement, scaled) + noise);
    codes = (codes << kBits) + static_cast<uint32_t>(code);
    signs = __funnelshift_l(__float_as_uint(scaled), signs, kBits);  // the topmost bit is the sign
  }
  return codes | (signs & (kBits == 4 ? 0x88888888u : 0x80808080u));
}

__device__ inline uint32_t encode_e2m1(const float* x, float multiplier, const uint32_t* random) {
  return encode_floats<E2M1, 4>(x, multiplier, random);
}

// 32 / kBits codes rint(x * multiplier) + zero, clamped to [low, high].
template <int kBits, typename... Random>
__device__ inline uint32_t encode_integers(const float* x, float multiplier, int32_t zero, int32_t low,
                                           int32_t high, const Random*... random) {
  constexpr uint32_t kOnes = kBits == 4 ? 0x11111111u : 0x01010101u;
  const auto lowest = static_cast<float>(low - zero), highest = static_cast<float>(high - zero);
  uint32_t codes = 0;
#pragma unroll
  for (int i = 32 / kBits - 1; i >= 0; --i) {
    const float value = dithered(x[i] * multiplier, random_bits(random, i)...);
    const float clamped = fminf(fmaxf(value, lowest), highest);
    codes = (codes << kBits) + __float_as_uint(clamped + kRounder);
  }
  // Negative codes are made positive, so that none borrows from the next; flipping the top bits undoes that.
  const uint32_t half = low < 0 ? 1u << (kBits - 1) : 0;
  codes += kOnes * (static_cast<uint32_t>(zero) + half - kRounderBits);
  return codes ^ kOnes * half;
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
  return encode_floats<Element, 8>(x, multiplier, random);
}

// encode(first): the codes of a word, from element `first` on.
template <typename Encode>
__device__ inline void encode_words(int words, int per_word, TileCodes& codes, const Encode& encode) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < words) codes[i] = encode(i * per_word);
  }
}

template <typename... Random>
__device__ inline void encode_e2m1_tile(const GroupScale& scale, const float (&x)[kTile], TileCodes& codes,
                                        const Random*... random) {
  const uint32_t mask = scale.is_nan() ? 0 : 0xFFFFFFFFu;
  encode_words(2, 8, codes, [&](int first) {
    return encode_e2m1(x + first, scale.multiplier, (random + first / 2)...) & mask;
  });
}

// Any element that is quantized to.
template <typename... Random>
__device__ inline void encode_tile(const qutlass_format& format, const GroupScale& scale,
                                   const float (&x)[kTile], TileCodes& codes, const Random*... random) {
  const float multiplier = scale.multiplier;
  const int32_t zero = scale.zero_point;
  switch (format.element) {
    case QUTLASS_E2M1: return encode_e2m1_tile(scale, x, codes, random...);
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
        return encode_integers<8>(x + first, multiplier, zero, low, 127, (random + first / 2)...);
      });
      break;
    }
    case QUTLASS_INT4:
    case QUTLASS_UINT4: {
      const int32_t low = format.element == QUTLASS_INT4 ? -8 : 0;
      encode_words(2, 8, codes, [&](int first) {
        return encode_integers<4>(x + first, multiplier, zero, low, low + 15, (random + first / 2)...);
      });
      break;
    }
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
