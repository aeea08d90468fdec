// Products with tiles on AVX2: 16 lanes are two registers.
#include <immintrin.h>

#include "cpu/tiles/decode.h"
#include "cpu/tiles/rows.h"
#include "cpu/tiles/select.h"

namespace qutlass {
namespace {

struct Avx2 {
  struct Floats {
    __m256 low, high;
  };
  struct Ints {
    __m256i low, high;
  };
  static constexpr int kRows = 4;
  static constexpr int kSumRows = 4;

  // Panels of A of so many rows are multiplied as matrices; 0: by no panel.
  static constexpr int kMatrixRows = 0;
  // What has to stand while they are, kBytes of a row at a time.
  template <int kRows, int kBytes>
  struct MatrixUnits {};

  static Floats zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Ints zero_ints() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static Ints load(const uint8_t* from) { return {load32(from), load32(from + 32)}; }
  static void store(uint8_t* to, Floats x) {
    auto* const floats = reinterpret_cast<float*>(to);
    _mm256_storeu_ps(floats, x.low);
    _mm256_storeu_ps(floats + 8, x.high);
  }
  static void add_to(double* sums, Floats x) {
    add_to(sums, _mm256_castps256_ps128(x.low));
    add_to(sums + 4, _mm256_extractf128_ps(x.low, 1));
    add_to(sums + 8, _mm256_castps256_ps128(x.high));
    add_to(sums + 12, _mm256_extractf128_ps(x.high, 1));
  }
  static void add_to(double* sums, Ints x) {
    add_to(sums, _mm256_castsi256_si128(x.low));
    add_to(sums + 4, _mm256_extracti128_si256(x.low, 1));
    add_to(sums + 8, _mm256_castsi256_si128(x.high));
    add_to(sums + 12, _mm256_extracti128_si256(x.high, 1));
  }
  static void add_to(double* sums, Ints x, Floats scale) {
    add_to(sums, _mm256_castsi256_si128(x.low), _mm256_castps256_ps128(scale.low));
    add_to(sums + 4, _mm256_extracti128_si256(x.low, 1), _mm256_extractf128_ps(scale.low, 1));
    add_to(sums + 8, _mm256_castsi256_si128(x.high), _mm256_castps256_ps128(scale.high));
    add_to(sums + 12, _mm256_extracti128_si256(x.high, 1), _mm256_extractf128_ps(scale.high, 1));
  }
  static Floats broadcast(const float* x) { return {_mm256_broadcast_ss(x), _mm256_broadcast_ss(x)}; }
  static Ints broadcast(const int32_t* x) { return {_mm256_set1_epi32(*x), _mm256_set1_epi32(*x)}; }
  static Ints bytes(const uint8_t* from) {
    return {_mm256_cvtepu8_epi32(load8(from)), _mm256_cvtepu8_epi32(load8(from + 8))};
  }
  static Floats to_floats(Ints x) { return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)}; }
  static Floats add(Floats x, Floats y) {
    return {_mm256_add_ps(x.low, y.low), _mm256_add_ps(x.high, y.high)};
  }
  static Ints add(Ints x, Ints y) {
    return {_mm256_add_epi32(x.low, y.low), _mm256_add_epi32(x.high, y.high)};
  }
  static Floats subtract(Floats x, Floats y) {
    return {_mm256_sub_ps(x.low, y.low), _mm256_sub_ps(x.high, y.high)};
  }
  static Floats multiply(Floats x, Floats y) {
    return {_mm256_mul_ps(x.low, y.low), _mm256_mul_ps(x.high, y.high)};
  }
  static Ints multiply(Ints x, Ints y) {
    return {_mm256_mullo_epi32(x.low, y.low), _mm256_mullo_epi32(x.high, y.high)};
  }
  static Floats multiply_add(Floats x, Floats y, Floats z) {
    return {_mm256_fmadd_ps(x.low, y.low, z.low), _mm256_fmadd_ps(x.high, y.high, z.high)};
  }

  template <int kBits>
  static Ints dot(Ints sum, Ints x, const uint8_t* four) {
    int32_t word;
    __builtin_memcpy(&word, four, sizeof word);
    const __m256i y = _mm256_set1_epi32(word);
    return {dot<kBits>(sum.low, x.low, y), dot<kBits>(sum.high, x.high, y)};
  }

  template <TileScale kScale>
  static Floats scales(TileScale scale, const uint8_t* from) {
    if constexpr (kScale == TileScale::kNone) return {_mm256_set1_ps(1), _mm256_set1_ps(1)};
    if constexpr (kScale == TileScale::kE8M0) return {e8m0(load8(from)), e8m0(load8(from + 8))};
    if constexpr (kScale == TileScale::kE4M3) return {e4m3(load8(from)), e4m3(load8(from + 8))};
    switch (scale) {
      case TileScale::kBF16: return {bf16(load16(from)), bf16(load16(from + 16))};
      case TileScale::kF16: return {_mm256_cvtph_ps(load16(from)), _mm256_cvtph_ps(load16(from + 16))};
      default: return {_mm256_castsi256_ps(load32(from)), _mm256_castsi256_ps(load32(from + 32))};
    }
  }

  using Values = Floats;
  static constexpr int kColumns = 1, kTiles = 1;
  static Floats multiply_values(Values x, const float* word, Floats z) {
    return multiply_add(x, broadcast(word), z);
  }

  template <TileCode kCode>
  struct Codes;

  // The values of column `i` of a word by their codes of 4 bits. Columns 0 to 3 are the low halves of its
  // bytes.
  static Floats look_up(Ints word, int i, const float* table) {
    const int shift = i < 4 ? 8 * i : 8 * (i - 4) + 4;
    return {look_up(_mm256_srli_epi32(word.low, shift), table),
            look_up(_mm256_srli_epi32(word.high, shift), table)};
  }

 private:
  static void add_to(double* sums, __m256d x) {
    _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), x));
  }
  static void add_to(double* sums, __m128 x) { add_to(sums, _mm256_cvtps_pd(x)); }
  static void add_to(double* sums, __m128i x) { add_to(sums, _mm256_cvtepi32_pd(x)); }
  static void add_to(double* sums, __m128i x, __m128 scale) {
    _mm256_storeu_pd(sums,
                     _mm256_fmadd_pd(_mm256_cvtepi32_pd(x), _mm256_cvtps_pd(scale), _mm256_loadu_pd(sums)));
  }
  static __m128i load8(const uint8_t* from) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  }
  static __m128i load16(const uint8_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  static __m256i load32(const uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }

  // Products are added in pairs of 16 bits, which saturate: bytes of more than 7 bits go in two parts.
  template <int kBits>
  static __m256i dot(__m256i sum, __m256i x, __m256i y) {
    const __m256i one = _mm256_set1_epi16(1);
    if constexpr (kBits == 4) {
      return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, y), one));
    }
    const __m256i half = _mm256_and_si256(_mm256_srli_epi16(x, 1), _mm256_set1_epi8(0x7F));
    const __m256i rest = _mm256_and_si256(x, _mm256_set1_epi8(1));
    const __m256i twice = _mm256_madd_epi16(_mm256_maddubs_epi16(half, y), _mm256_set1_epi16(2));
    const __m256i once = _mm256_madd_epi16(_mm256_maddubs_epi16(rest, y), one);
    return _mm256_add_epi32(sum, _mm256_add_epi32(twice, once));
  }

  // As in tiles_avx512.cc.
  static __m256 e8m0(__m128i from) {
    const __m256i exponents = _mm256_slli_epi32(_mm256_cvtepu8_epi32(from), 23);
    return _mm256_castsi256_ps(_mm256_max_epi32(exponents, _mm256_set1_epi32(0x00400000)));
  }
  static __m256 e4m3(__m128i from) {
    const __m256i wide = _mm256_slli_epi32(_mm256_cvtepi8_epi32(from), 20);
    const __m256i fields = _mm256_and_si256(wide, _mm256_set1_epi32(static_cast<int32_t>(0x87F00000u)));
    return _mm256_mul_ps(_mm256_castsi256_ps(fields), _mm256_set1_ps(0x1p120f));
  }
  static __m256 bf16(__m128i from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(from), 16));
  }

  // A permutation reads the low three bits of an index, the blend, by the sign, its fourth.
  static __m256 look_up(__m256i index, const float* table) {
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index),
                            _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), index),
                            _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
  }
};

constexpr float kSigned[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
constexpr float kUnsigned[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr float kE2M1[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                             -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

__m256i low_nibbles(__m256i x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
__m256i high_nibbles(__m256i x) { return low_nibbles(_mm256_srli_epi16(x, 4)); }

// Zero points of all rows, to be subtracted from values.
struct FloatZeros {
  using Zeros = Avx2::Floats;
  static Avx2::Floats zeros(const uint8_t* from) { return Avx2::to_floats(Avx2::bytes(from)); }
};

template <>
struct Avx2::Codes<TileCode::kInt4> : FloatZeros {
  static constexpr int kBits = 4;
  static void bytes(const uint8_t* from, Ints& first, Ints& second) {
    const Ints word = load(from);
    first = {low_nibbles(word.low), low_nibbles(word.high)};
    second = {high_nibbles(word.low), high_nibbles(word.high)};
  }
  template <bool kZeros>
  static Floats values(Ints word, int i, Floats zeros) {
    return kZeros ? subtract(look_up(word, i, kUnsigned), zeros) : look_up(word, i, kSigned);
  }
};

template <>
struct Avx2::Codes<TileCode::kE2M1> : FloatZeros {
  static constexpr int kBits = 4;
  static void bytes(const uint8_t* from, Ints& first, Ints& second) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24,  //
                                                                    12, 11, 10, 9, 8, 6, 4, 0));
    Codes<TileCode::kInt4>::bytes(from, first, second);
    first = {_mm256_shuffle_epi8(table, first.low), _mm256_shuffle_epi8(table, first.high)};
    second = {_mm256_shuffle_epi8(table, second.low), _mm256_shuffle_epi8(table, second.high)};
  }
  template <bool>
  static Floats values(Ints word, int i, Floats) {
    return look_up(word, i, kE2M1);
  }
};

template <>
struct Avx2::Codes<TileCode::kNF4> : FloatZeros {
  static constexpr int kBits = 4;
  template <bool>
  static Floats values(Ints word, int i, Floats) {
    return look_up(word, i, kNf4Values);
  }
};

template <>
struct Avx2::Codes<TileCode::kInt8> : FloatZeros {
  static constexpr int kBits = 8;
  static void bytes(const uint8_t* from, Ints& first, Ints& second) {
    first = load(from);
    second = load(from + kWordBytes);
  }
  template <bool kZeros>
  static Floats values(Ints word, int i, Floats zeros) {
    if constexpr (kZeros) return subtract({value<0>(word.low, i), value<0>(word.high, i)}, zeros);
    return {value<128>(word.low, i), value<128>(word.high, i)};
  }

 private:
  template <int kExcess>
  static __m256 value(__m256i word, int i) {
    const __m256i byte = _mm256_and_si256(_mm256_srli_epi32(word, 8 * i), _mm256_set1_epi32(0xFF));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(byte, _mm256_set1_epi32(kExcess)));
  }
};

template <>
struct Avx2::Codes<TileCode::kF32> : FloatZeros {
  static constexpr int kBits = 32;
  template <bool>
  static Floats values(Ints word, int, Floats) {
    return {_mm256_castsi256_ps(word.low), _mm256_castsi256_ps(word.high)};
  }
};

// Sign, exponent and fraction of fp8 in the places of float32's, where only the bias differs: by a factor.
// What comes after the largest number is infinity or NaN.
template <int kExponentBits, int kBias>
struct Fp8Codes : FloatZeros {
  static constexpr int kBits = 8;
  template <bool>
  static Avx2::Floats values(Avx2::Ints word, int i, Avx2::Floats) {
    return {value(word.low, i), value(word.high, i)};
  }

 private:
  static __m256 value(__m256i word, int i) {
    const __m256i code = _mm256_slli_epi32(word, 24 - 8 * i);
    constexpr int32_t kFields = kExponentBits == 4 ? 0x07F00000 : 0x0FE00000;
    const __m256i fields = _mm256_and_si256(_mm256_srai_epi32(code, 8 - kExponentBits),
                                            _mm256_set1_epi32(static_cast<int32_t>(0x80000000u) | kFields));
    const __m256 x = _mm256_mul_ps(_mm256_castsi256_ps(fields), factor());
    // e4m3 has NaN in place of 480; e5m2 has infinity in place of 2^16.
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256 least = _mm256_set1_ps(kExponentBits == 4 ? 480.0f : 65536.0f);
    const __m256 special = _mm256_cmp_ps(_mm256_andnot_ps(sign, x), least, _CMP_GE_OQ);
    const __m256 exponent = _mm256_set1_ps(__builtin_inff());
    return _mm256_or_ps(x, _mm256_and_ps(special, exponent));
  }
  static __m256 factor() { return _mm256_castsi256_ps(_mm256_set1_epi32((254 - kBias) << 23)); }
};

template <>
struct Avx2::Codes<TileCode::kE4M3> : Fp8Codes<4, 7> {};
template <>
struct Avx2::Codes<TileCode::kE5M2> : Fp8Codes<5, 15> {};

}  // namespace

const TileKernels kAvx2TileKernels = {Avx2::kTiles,      Avx2::kMatrixRows, rows<Avx2>, find<Avx2>, 16,
                                      find_decode<Avx2>, int8_scale,        round,      correct,    finish};

}  // namespace qutlass
