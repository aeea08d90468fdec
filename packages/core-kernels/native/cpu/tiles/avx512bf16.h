// AVX-512 with dot products of bf16 pairs, for multiply.h. These round to nearest even and take subnormal
// numbers as zeros, of which there are none: see Packing::kPairs.
#pragma once

#include "cpu/tiles/avx512.h"

namespace qutlass {
namespace {

struct Avx512Pairs : Avx512 {
  static constexpr int kRows = 8;

  using Values = __m512bh;
  // Two tiles share what is loaded of A, as loads beside every multiplication would slow them down.
  static constexpr int kColumns = 2, kTiles = 2;
  static Floats multiply_values(Values x, const float* word, Floats z) {
    return _mm512_dpbf16_ps(z, x, as_values(_mm512_castps_si512(broadcast(word))));
  }
  static Values as_values(Ints x) { return reinterpret_cast<Values>(x); }
  static void store(uint8_t* to, Values x) { _mm512_storeu_si512(to, reinterpret_cast<Ints>(x)); }

  // Pairs of a word in the order of kPairOrder.
  template <TileCode kCode>
  struct Codes;
};

// The codes of a pair as indices of 16 bits, in their lowest four.
inline __m512i nibbles(__m512i word, int pair) {
  return _mm512_srli_epi16(word, static_cast<unsigned>(4 * pair));
}

// A permutation reads five bits of an index; as the table repeats itself every 16, four of them count.
inline __m512bh look_up_pairs(__m512i word, int pair, const uint16_t (&table)[16]) {
  const __m512i twice = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(table)));
  return Avx512Pairs::as_values(_mm512_permutexvar_epi16(nibbles(word, pair), twice));
}

template <>
struct Avx512Pairs::Codes<TileCode::kInt4> {
  static constexpr int kBits = 4;
  using Zeros = Ints;
  static Zeros zeros(const uint8_t* from) {
    const Ints points = bytes(from);
    return _mm512_or_si512(points, _mm512_slli_epi32(points, 16));
  }
  template <bool kZeros>
  static Values values(Ints word, int pair, Ints zeros) {
    // -8 to 7.
    static constexpr uint16_t kSigned[16] = {0xC100, 0xC0E0, 0xC0C0, 0xC0A0, 0xC080, 0xC040, 0xC000, 0xBF80,
                                             0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0};
    // 0 to 15 and -16 to -1, by the low five bits of an integer.
    static constexpr uint16_t kDifferences[32] = {
        0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0, 0x4100, 0x4110, 0x4120,
        0x4130, 0x4140, 0x4150, 0x4160, 0x4170, 0xC180, 0xC170, 0xC160, 0xC150, 0xC140, 0xC130,
        0xC120, 0xC110, 0xC100, 0xC0E0, 0xC0C0, 0xC0A0, 0xC080, 0xC040, 0xC000, 0xBF80};
    if constexpr (!kZeros) return look_up_pairs(word, pair, kSigned);
    const Ints codes = _mm512_and_si512(nibbles(word, pair), _mm512_set1_epi16(15));
    return as_values(_mm512_permutexvar_epi16(_mm512_sub_epi16(codes, zeros), load(kDifferences)));
  }
};

template <>
struct Avx512Pairs::Codes<TileCode::kE2M1> {
  static constexpr int kBits = 4;
  using Zeros = Ints;
  static Zeros zeros(const uint8_t*) { return zero_ints(); }
  template <bool>
  static Values values(Ints word, int pair, Ints) {
    static constexpr uint16_t kE2M1[16] = {0x0000, 0x3F00, 0x3F80, 0x3FC0, 0x4000, 0x4040, 0x4080, 0x40C0,
                                           0x8000, 0xBF00, 0xBF80, 0xBFC0, 0xC000, 0xC040, 0xC080, 0xC0C0};
    return look_up_pairs(word, pair, kE2M1);
  }
};

// Integers of up to 256 have as many bits as bf16: the lower half of a float32 is zero.
template <>
struct Avx512Pairs::Codes<TileCode::kInt8> : FloatZeros {
  static constexpr int kBits = 8;
  template <bool kZeros>
  static Values values(Ints word, int pair, Floats zeros) {
    using Single = Avx512::Codes<TileCode::kInt8>;
    const Ints first = _mm512_castps_si512(Single::values<kZeros>(word, pair, zeros));
    const Ints second = _mm512_castps_si512(Single::values<kZeros>(word, pair + 2, zeros));
    return as_values(_mm512_mask_blend_epi16(0xAAAAAAAAu, _mm512_srli_epi32(first, 16), second));
  }
};

template <>
struct Avx512Pairs::Codes<TileCode::kBF16> : FloatZeros {
  static constexpr int kBits = 16;
  template <bool>
  static Values values(Ints word, int, Floats) {
    return as_values(word);
  }
};

template <TileCode kCode>
struct Fp8Pairs : FloatZeros {
  static constexpr int kBits = 8;
  template <bool>
  static __m512bh values(__m512i word, int pair, __m512) {
    using Bytes = Avx512::Codes<kCode>;
    const __m512i order = bytes_of_word(0x42024000 + pair * 0x01010101);
    return Avx512Pairs::as_values(_mm512_permutex2var_epi8(Bytes::low(word), order, Bytes::high(word)));
  }
};

template <>
struct Avx512Pairs::Codes<TileCode::kE4M3> : Fp8Pairs<TileCode::kE4M3> {};
template <>
struct Avx512Pairs::Codes<TileCode::kE5M2> : Fp8Pairs<TileCode::kE5M2> {};

}  // namespace
}  // namespace qutlass
