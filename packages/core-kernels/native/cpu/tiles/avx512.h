// 16 lanes of AVX-512 with VNNI and VBMI, for multiply.h; included by files compiled for it.
#pragma once

#include <immintrin.h>

#include "cpu/tiles/kernels.h"

namespace qutlass {
namespace {

struct Avx512 {
  using Floats = __m512;
  using Ints = __m512i;
  static constexpr int kRows = 8;
  // Where nothing but sums and B takes registers.
  static constexpr int kSumRows = 24;

  // Panels of A of so many rows are multiplied as matrices; 0: by no panel.
  static constexpr int kMatrixRows = 0;
  // What has to stand while they are, kBytes of a row at a time.
  template <int kRows, int kBytes>
  struct MatrixUnits {};

  static Floats zero() { return _mm512_setzero_ps(); }
  static Ints zero_ints() { return _mm512_setzero_si512(); }
  static Ints load(const void* from) { return _mm512_loadu_si512(from); }
  static void store(uint8_t* to, Floats x) { _mm512_storeu_ps(to, x); }
  static void add_to(double* sums, Floats x) {
    add_to(sums, _mm512_castps512_ps256(x));
    add_to(sums + 8, _mm512_extractf32x8_ps(x, 1));
  }
  static void add_to(double* sums, Ints x) {
    add_to(sums, _mm512_cvtepi32_pd(_mm512_castsi512_si256(x)));
    add_to(sums + 8, _mm512_cvtepi32_pd(_mm512_extracti32x8_epi32(x, 1)));
  }
  static void add_to(double* sums, Ints x, Floats scale) {
    add_to(sums, _mm512_castsi512_si256(x), _mm512_castps512_ps256(scale));
    add_to(sums + 8, _mm512_extracti32x8_epi32(x, 1), _mm512_extractf32x8_ps(scale, 1));
  }
  static Floats broadcast(const float* x) { return _mm512_set1_ps(*x); }
  static Ints broadcast(const int32_t* x) { return _mm512_set1_epi32(*x); }
  static Ints bytes(const uint8_t* from) { return _mm512_cvtepu8_epi32(load16(from)); }
  static Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
  static Floats add(Floats x, Floats y) { return _mm512_add_ps(x, y); }
  static Ints add(Ints x, Ints y) { return _mm512_add_epi32(x, y); }
  static Floats subtract(Floats x, Floats y) { return _mm512_sub_ps(x, y); }
  static Floats multiply(Floats x, Floats y) { return _mm512_mul_ps(x, y); }
  static Ints multiply(Ints x, Ints y) { return _mm512_mullo_epi32(x, y); }
  static Floats multiply_add(Floats x, Floats y, Floats z) { return _mm512_fmadd_ps(x, y, z); }
  // Adds the products of four unsigned bytes in every lane, of which kBits count, with the same four signed
  // ones.
  template <int kBits>
  static Ints dot(Ints sum, Ints x, const uint8_t* four) {
    int32_t word;
    __builtin_memcpy(&word, four, sizeof word);
    return _mm512_dpbusd_epi32(sum, x, _mm512_set1_epi32(word));
  }

  // The scales of a group, in the format of their bytes.
  template <TileScale kScale>
  static Floats scales(TileScale scale, const uint8_t* from) {
    if constexpr (kScale == TileScale::kNone) return _mm512_set1_ps(1);
    if constexpr (kScale == TileScale::kE8M0) {
      // The exponent field of float32, but for 2^-127, which is subnormal; rows with NaN have it as a factor.
      const Ints exponents = _mm512_slli_epi32(bytes(from), 23);
      return _mm512_castsi512_ps(_mm512_max_epi32(exponents, _mm512_set1_epi32(0x00400000)));
    }
    if constexpr (kScale == TileScale::kE4M3) {
      // Sign, exponent and fraction in the places of float32's, where only the bias differs: by a factor.
      const Ints wide = _mm512_slli_epi32(_mm512_cvtepi8_epi32(load16(from)), 20);
      const Ints fields = _mm512_and_si512(wide, _mm512_set1_epi32(static_cast<int32_t>(0x87F00000u)));
      return _mm512_mul_ps(_mm512_castsi512_ps(fields), _mm512_set1_ps(0x1p120f));
    }
    switch (scale) {
      case TileScale::kBF16:
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(from)), 16));
      case TileScale::kF16: return _mm512_cvtph_ps(load32(from));
      default: return _mm512_loadu_ps(from);
    }
  }

  // As many columns as a word of A has are multiplied at a time.
  using Values = Floats;
  static constexpr int kColumns = 1, kTiles = 1;
  static Floats multiply_values(Values x, const float* word, Floats z) {
    return _mm512_fmadd_ps(x, broadcast(word), z);
  }

  template <TileCode kCode>
  struct Codes;

 private:
  static void add_to(double* sums, __m512d x) {
    _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), x));
  }
  static void add_to(double* sums, __m256 x) { add_to(sums, _mm512_cvtps_pd(x)); }
  static void add_to(double* sums, __m256i x, __m256 scale) {
    _mm512_storeu_pd(sums,
                     _mm512_fmadd_pd(_mm512_cvtepi32_pd(x), _mm512_cvtps_pd(scale), _mm512_loadu_pd(sums)));
  }
  static __m128i load16(const uint8_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  static __m256i load32(const uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
};

// The value of column `i` of a word by its code of 4 bits. Columns 0 to 3 are the low halves of its bytes.
[[gnu::always_inline]] inline __m512 look_up(__m512i word, int i, __m512 table) {
  const int shift = i < 4 ? 8 * i : 8 * (i - 4) + 4;
  return _mm512_permutexvar_ps(_mm512_srli_epi32(word, static_cast<unsigned>(shift)), table);
}

// Zero points of all rows, to be subtracted from values.
struct FloatZeros {
  using Zeros = __m512;
  static __m512 zeros(const uint8_t* from) { return Avx512::to_floats(Avx512::bytes(from)); }
};

template <>
struct Avx512::Codes<TileCode::kInt4> : FloatZeros {
  static constexpr int kBits = 4;
  static void bytes(const uint8_t* from, Ints& first, Ints& second) {
    const Ints word = load(from), low = _mm512_set1_epi8(15);
    first = _mm512_and_si512(word, low);
    second = _mm512_and_si512(_mm512_srli_epi16(word, 4), low);
  }
  template <bool kZeros>
  static Floats values(Ints word, int i, Floats zeros) {
    constexpr float kLeast = kZeros ? 0 : -8;
    const Floats x =
        look_up(word, i,
                _mm512_setr_ps(kLeast, kLeast + 1, kLeast + 2, kLeast + 3, kLeast + 4, kLeast + 5, kLeast + 6,
                               kLeast + 7, kLeast + 8, kLeast + 9, kLeast + 10, kLeast + 11, kLeast + 12,
                               kLeast + 13, kLeast + 14, kLeast + 15));
    return kZeros ? subtract(x, zeros) : x;
  }
};

template <>
struct Avx512::Codes<TileCode::kE2M1> : FloatZeros {
  static constexpr int kBits = 4;
  // A permutation reads six bits of an index; as the table repeats itself every 16, four of them count.
  static void bytes(const uint8_t* from, Ints& first, Ints& second) {
    const Ints word = load(from);
    const Ints table = _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24,  //
                                                            12, 11, 10, 9, 8, 6, 4, 0));
    first = _mm512_permutexvar_epi8(word, table);
    second = _mm512_permutexvar_epi8(_mm512_srli_epi16(word, 4), table);
  }
  template <bool>
  static Floats values(Ints word, int i, Floats) {
    return look_up(word, i,
                   _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f,  //
                                  -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f));
  }
};

template <>
struct Avx512::Codes<TileCode::kNF4> : FloatZeros {
  static constexpr int kBits = 4;
  template <bool>
  static Floats values(Ints word, int i, Floats) {
    return look_up(word, i, _mm512_loadu_ps(kNf4Values));
  }
};

template <>
struct Avx512::Codes<TileCode::kInt8> : FloatZeros {
  static constexpr int kBits = 8;
  static void bytes(const uint8_t* from, Ints& first, Ints& second) {
    first = load(from);
    second = load(from + kWordBytes);
  }
  template <bool kZeros>
  static Floats values(Ints word, int i, Floats zeros) {
    const Ints byte =
        _mm512_and_si512(_mm512_srli_epi32(word, static_cast<unsigned>(8 * i)), _mm512_set1_epi32(0xFF));
    return kZeros ? subtract(to_floats(byte), zeros)
                  : to_floats(_mm512_sub_epi32(byte, _mm512_set1_epi32(128)));
  }
};

template <>
struct Avx512::Codes<TileCode::kF32> : FloatZeros {
  static constexpr int kBits = 32;
  template <bool>
  static Floats values(Ints word, int, Floats) {
    return _mm512_castsi512_ps(word);
  }
};

// Indices of four bytes in the word of every row, the same in each but for where it begins.
inline __m512i bytes_of_word(int32_t four) {
  const __m512i rows = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_add_epi32(_mm512_mullo_epi32(rows, _mm512_set1_epi32(0x04040404)), _mm512_set1_epi32(four));
}

// Codes of fp8 are looked up by their seven bits besides the sign, for the two bytes of their value in bf16.
template <const Fp8Bytes& kBytes>
struct Fp8Codes : FloatZeros {
  static constexpr int kBits = 8;
  static __m512i low(__m512i word) { return look_up(kBytes.low, word); }
  static __m512i high(__m512i word) {
    const __m512i magnitude = look_up(kBytes.high, word);
    // a | (b & c)
    return _mm512_ternarylogic_epi32(magnitude, word, _mm512_set1_epi8(static_cast<char>(0x80)), 0xF8);
  }
  template <bool>
  static __m512 values(__m512i word, int i, __m512) {
    // Bytes of the second vector count from 64; those of bf16 are the upper half of float32.
    const __m512i order = bytes_of_word(0x40000000 + i * 0x01010101);
    constexpr __mmask64 kUpperHalf = 0xCCCCCCCCCCCCCCCCu;
    return _mm512_castsi512_ps(_mm512_maskz_permutex2var_epi8(kUpperHalf, low(word), order, high(word)));
  }

 private:
  static __m512i look_up(const uint8_t (&table)[128], __m512i codes) {
    return _mm512_permutex2var_epi8(_mm512_loadu_si512(table), codes, _mm512_loadu_si512(table + 64));
  }
};

template <>
struct Avx512::Codes<TileCode::kE4M3> : Fp8Codes<kE4M3Bytes> {};
template <>
struct Avx512::Codes<TileCode::kE5M2> : Fp8Codes<kE5M2Bytes> {};

}  // namespace
}  // namespace qutlass
