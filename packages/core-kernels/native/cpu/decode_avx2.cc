// Codes to numbers, sixteen at a time. What is left of a group, or of a row, is copied to a buffer of sixteen codes and
// decoded by the same instructions.
#include "decode_avx2.h"

#include <immintrin.h>

#include <cstring>

#include "qutlass.h"

namespace qutlass::avx2 {
namespace {

constexpr int kStep = 16;

struct Floats {
  __m256 low, high;
};

__m128i load8(const uint8_t* bytes) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)); }
__m128i load16(const uint8_t* bytes) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)); }

// Sixteen nibbles, low ones first, as bytes.
__m128i nibbles(const uint8_t* bytes) {
  const __m128i mask = _mm_set1_epi8(15), packed = load8(bytes);
  return _mm_unpacklo_epi8(_mm_and_si128(packed, mask), _mm_and_si128(_mm_srli_epi16(packed, 4), mask));
}

Floats to_floats(__m128i bytes) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}

Floats halves_to_floats(__m256i halves) {
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))};
}

// Each element has `bits` per code, a `unit` that its decoded numbers are to be multiplied with, and sixteen codes as
// Floats or, for the integers, as bytes.

struct E2M1 {
  static constexpr int bits = 4;
  static constexpr float unit = 0.5f;  // the table holds doubled values; halving a scale of e8m0 or e4m3 is exact
  static Floats load(const uint8_t* codes) {
    const __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    return to_floats(_mm_shuffle_epi8(table, nibbles(codes)));
  }
};

struct Int4 {
  static constexpr int bits = 4;
  static constexpr float unit = 1;
  static __m128i bytes(const uint8_t* codes) {
    const __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
    return _mm_shuffle_epi8(table, nibbles(codes));
  }
  static Floats load(const uint8_t* codes) { return to_floats(bytes(codes)); }
};

struct UInt4 {
  static constexpr int bits = 4;
  static constexpr float unit = 1;
  static __m128i bytes(const uint8_t* codes) { return nibbles(codes); }
  static Floats load(const uint8_t* codes) { return to_floats(bytes(codes)); }
};

struct Int8 {
  static constexpr int bits = 8;
  static constexpr float unit = 1;
  static __m128i bytes(const uint8_t* codes) { return load16(codes); }
  static Floats load(const uint8_t* codes) { return to_floats(bytes(codes)); }
};

struct NF4 {
  static constexpr int bits = 4;
  static constexpr float unit = 1;
  static Floats load(const uint8_t* codes) { return {load8_of(codes), load8_of(codes + 4)}; }

 private:
  static __m256 load8_of(const uint8_t* codes) {
    int32_t packed;
    std::memcpy(&packed, codes, sizeof packed);
    const __m256 negative = _mm256_setr_ps(-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
                                           -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f);
    const __m256 positive = _mm256_setr_ps(0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f,
                                           0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,
                                           0.7229568362236023f, 1.0f);
    const __m256i codes32 = _mm256_srlv_epi32(_mm256_set1_epi32(packed), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    // The permutation reads the low three bits of a code, the blend, by the sign, its fourth bit.
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(negative, codes32), _mm256_permutevar8x32_ps(positive, codes32),
                            _mm256_castsi256_ps(_mm256_slli_epi32(codes32, 28)));
  }
};

// An e5m2 number is the upper byte of an f16 number.
struct E5M2 {
  static constexpr int bits = 8;
  static constexpr float unit = 1;
  static Floats load(const uint8_t* codes) {
    return halves_to_floats(_mm256_slli_epi16(_mm256_cvtepu8_epi16(load16(codes)), 8));
  }
};

// An e4m3 number moved into the fields of f16 is worth 2^-8 of it, subnormal numbers included; its NaN becomes one.
struct E4M3 {
  static constexpr int bits = 8;
  static constexpr float unit = 1;
  static Floats load(const uint8_t* codes) {
    const __m256i wide = _mm256_cvtepi8_epi16(load16(codes));
    const __m256i largest = _mm256_set1_epi16(0x7F);
    const __m256i magnitude = _mm256_and_si256(wide, largest);
    const __m256i sign = _mm256_and_si256(wide, _mm256_set1_epi16(-0x8000));
    const __m256i half = _mm256_or_si256(sign, _mm256_slli_epi16(magnitude, 7));
    const __m256i nan = _mm256_srli_epi16(_mm256_cmpeq_epi16(magnitude, largest), 1);
    const Floats floats = halves_to_floats(_mm256_or_si256(half, nan));
    const __m256 factor = _mm256_set1_ps(256);  // not part of `unit`: a large scale times 256 would overflow
    return {_mm256_mul_ps(floats.low, factor), _mm256_mul_ps(floats.high, factor)};
  }
};

// Scales of the MX formats: the exponent field of float32, but for 2^-127, which is subnormal, and NaN.
struct E8M0 {
  static constexpr int bits = 8;
  static constexpr float unit = 1;
  static Floats load(const uint8_t* codes) {
    const __m128i bytes = load16(codes);
    return {load8_of(bytes), load8_of(_mm_srli_si128(bytes, 8))};
  }

 private:
  static __m256 load8_of(__m128i bytes) {
    const __m256i quiet = _mm256_set1_epi32(0x00400000);
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtepu8_epi32(bytes), 23);
    const __m256i nan = _mm256_and_si256(_mm256_cmpeq_epi32(exponent, _mm256_set1_epi32(0x7F800000)), quiet);
    return _mm256_castsi256_ps(_mm256_or_si256(_mm256_max_epi32(exponent, quiet), nan));
  }
};

// The sixteen-code steps of every part of a group: step(codes, group, k) decodes those at k. A part that is not a
// multiple of 16 ends with a step on a copy of its codes, whose results replace(k, count) cuts to size.
template <typename Element, typename Group, typename Step>
void for_each_step(const GroupedCodes& in, Group&& enter_group, Step&& step) {
  const uint8_t* codes = in.codes;
  int64_t stop = (in.begin / in.group + 1) * in.group;
  int64_t group = 0;
  for (int64_t k = in.begin; k < in.end; stop += in.group, ++group) {
    if (stop > in.end) stop = in.end;
    enter_group(group);
    for (; k + kStep <= stop; k += kStep) step(codes + k * Element::bits / 8, k - in.begin, kStep);
    if (k < stop) {
      uint8_t rest[kStep] = {};
      std::memcpy(rest, codes + k * Element::bits / 8, static_cast<size_t>(((stop - k) * Element::bits + 7) / 8));
      step(rest, k - in.begin, static_cast<int>(stop - k));
      k = stop;
    }
  }
}

template <typename Element>
void decode_as(const GroupedCodes& in, float* out) {
  __m256 scale = _mm256_setzero_ps(), zero = _mm256_setzero_ps();
  for_each_step<Element>(
      in,
      [&](int64_t group) {
        scale = _mm256_set1_ps(in.scales[group] * Element::unit);
        zero = _mm256_set1_ps(in.zeros ? in.zeros[group] : 0.0f);
      },
      [&](const uint8_t* codes, int64_t at, int count) {
        const Floats x = Element::load(codes);
        const __m256 low = _mm256_mul_ps(_mm256_sub_ps(x.low, zero), scale);
        const __m256 high = _mm256_mul_ps(_mm256_sub_ps(x.high, zero), scale);
        if (count == kStep) {
          _mm256_storeu_ps(out + at, low);
          _mm256_storeu_ps(out + at + 8, high);
        } else {
          float values[kStep];
          _mm256_storeu_ps(values, low);
          _mm256_storeu_ps(values + 8, high);
          std::memcpy(out + at, values, static_cast<size_t>(count) * sizeof(float));
        }
      });
}

template <typename Element>
void decode_integers_as(const GroupedCodes& in, int16_t* out) {
  __m256i zero = _mm256_setzero_si256();
  for_each_step<Element>(
      in,
      [&](int64_t group) { zero = _mm256_set1_epi16(static_cast<int16_t>(in.zeros ? in.zeros[group] : 0.0f)); },
      [&](const uint8_t* codes, int64_t at, int count) {
        const __m256i x = _mm256_sub_epi16(_mm256_cvtepi8_epi16(Element::bytes(codes)), zero);
        if (count == kStep) {
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at), x);
        } else {
          int16_t values[kStep];
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), x);
          std::memcpy(out + at, values, static_cast<size_t>(count) * sizeof(int16_t));
        }
      });
}

template <typename Element>
void decode_wide(const void* data, int64_t count, float* out) {
  const auto* halves = static_cast<const uint16_t*>(data);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(out + i, Element::load(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i))));
  }
  if (i < count) {
    uint16_t rest[8] = {};
    float values[8];
    std::memcpy(rest, halves + i, static_cast<size_t>(count - i) * sizeof(uint16_t));
    _mm256_storeu_ps(values, Element::load(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rest))));
    std::memcpy(out + i, values, static_cast<size_t>(count - i) * sizeof(float));
  }
}

struct BF16 {
  static __m256 load(__m128i halves) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
};

struct F16 {
  static __m256 load(__m128i halves) { return _mm256_cvtph_ps(halves); }
};

}  // namespace

void decode(const GroupedCodes& codes, float* out) {
  switch (codes.element) {
    case QUTLASS_E2M1: return decode_as<E2M1>(codes, out);
    case QUTLASS_E4M3: return decode_as<E4M3>(codes, out);
    case QUTLASS_E5M2: return decode_as<E5M2>(codes, out);
    case QUTLASS_E8M0: return decode_as<E8M0>(codes, out);
    case QUTLASS_INT8: return decode_as<Int8>(codes, out);
    case QUTLASS_INT4: return decode_as<Int4>(codes, out);
    case QUTLASS_UINT4: return decode_as<UInt4>(codes, out);
    default: return decode_as<NF4>(codes, out);
  }
}

void decode_integers(const GroupedCodes& codes, int16_t* out) {
  switch (codes.element) {
    case QUTLASS_INT8: return decode_integers_as<Int8>(codes, out);
    case QUTLASS_INT4: return decode_integers_as<Int4>(codes, out);
    default: return decode_integers_as<UInt4>(codes, out);
  }
}

void decode_dense(const void* data, int32_t dtype, int64_t count, float* out) {
  switch (dtype) {
    case QUTLASS_BF16: return decode_wide<BF16>(data, count, out);
    case QUTLASS_F16: return decode_wide<F16>(data, count, out);
    default: std::memcpy(out, data, static_cast<size_t>(count) * sizeof(float));
  }
}

}  // namespace qutlass::avx2
