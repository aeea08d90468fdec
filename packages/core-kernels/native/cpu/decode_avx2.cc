// Codes to numbers, 32 at a time. The rest of a row is copied to a buffer of 32 codes and decoded by the same
// instructions.
#include "decode_avx2.h"

#include <immintrin.h>

#include <cstring>

#include "qutlass.h"

namespace qutlass::avx2 {
namespace {

constexpr int kStep = 32;

// kStep numbers in order.
struct Floats {
  __m256 x0, x1, x2, x3;
};
struct Bytes {
  __m128i low, high;
};

__m128i load8(const uint8_t* bytes) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)); }
__m128i load16(const uint8_t* bytes) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)); }

// The 32 nibbles of 16 bytes, each as a byte: a byte is widened to two, the high nibble moves to the second.
__m256i nibbles(__m128i packed) {
  const __m256i wide = _mm256_cvtepu8_epi16(packed);
  return _mm256_and_si256(_mm256_or_si256(wide, _mm256_slli_epi16(wide, 4)), _mm256_set1_epi8(15));
}

// Sixteen values that are exact in bfloat16, split into bytes for two lookups.
struct ByteTables {
  alignas(16) uint8_t low[16];
  alignas(16) uint8_t high[16];
};

constexpr ByteTables split(const uint16_t (&values)[16]) {
  ByteTables tables{};
  for (int i = 0; i < 16; ++i) {
    tables.low[i] = static_cast<uint8_t>(values[i] & 0xFF);
    tables.high[i] = static_cast<uint8_t>(values[i] >> 8);
  }
  return tables;
}

constexpr ByteTables kE2M1 = split({0x0000, 0x3F00, 0x3F80, 0x3FC0, 0x4000, 0x4040, 0x4080, 0x40C0,  //
                                    0x8000, 0xBF00, 0xBF80, 0xBFC0, 0xC000, 0xC040, 0xC080, 0xC0C0});
constexpr ByteTables kInt4 = split({0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0,  //
                                    0xC100, 0xC0E0, 0xC0C0, 0xC0A0, 0xC080, 0xC040, 0xC000, 0xBF80});
constexpr ByteTables kUInt4 = split({0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0,  //
                                     0x4100, 0x4110, 0x4120, 0x4130, 0x4140, 0x4150, 0x4160, 0x4170});

__m256i lookup(const uint8_t (&table)[16], __m256i indices) {
  return _mm256_shuffle_epi8(
      _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table))), indices);
}

Floats lookup_floats(const ByteTables& tables, const uint8_t* codes) {
  // Interleaving works within halves of a register and would leave the numbers out of order, so the bytes are
  // put in the order that it undoes.
  const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  const __m256i indices = nibbles(_mm_shuffle_epi8(load16(codes), order));
  const __m256i low = lookup(tables.low, indices), high = lookup(tables.high, indices);
  const __m256i first = _mm256_unpacklo_epi8(low, high), second = _mm256_unpackhi_epi8(low, high);
  const __m256i zero = _mm256_setzero_si256();
  return {_mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, first)),
          _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, first)),
          _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, second)),
          _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, second))};
}

// Each element has `bits` per code and loads kStep codes as numbers and, if it is an integer, as bytes.

struct E2M1 {
  static constexpr int bits = 4;
  static Floats floats(const uint8_t* codes, const float*) { return lookup_floats(kE2M1, codes); }
};

struct Int4 {
  static constexpr int bits = 4;
  static Floats floats(const uint8_t* codes, const float*) { return lookup_floats(kInt4, codes); }
  static Bytes bytes(const uint8_t* codes) {
    const __m256i eight = _mm256_set1_epi8(8);
    const __m256i x = _mm256_sub_epi8(_mm256_xor_si256(nibbles(load16(codes)), eight), eight);
    return {_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)};
  }
};

struct UInt4 {
  static constexpr int bits = 4;
  static Floats floats(const uint8_t* codes, const float*) { return lookup_floats(kUInt4, codes); }
  static Bytes bytes(const uint8_t* codes) {
    const __m256i x = nibbles(load16(codes));
    return {_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)};
  }
};

struct Int8 {
  static constexpr int bits = 8;
  static Floats floats(const uint8_t* codes, const float*) {
    return {eight(codes), eight(codes + 8), eight(codes + 16), eight(codes + 24)};
  }
  static Bytes bytes(const uint8_t* codes) { return {load16(codes), load16(codes + 16)}; }

 private:
  static __m256 eight(const uint8_t* codes) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8(codes))); }
};

struct NF4 {
  static constexpr int bits = 4;
  static Floats floats(const uint8_t* codes, const float* table) {
    return {eight(codes, table), eight(codes + 4, table), eight(codes + 8, table), eight(codes + 12, table)};
  }

 private:
  static __m256 eight(const uint8_t* codes, const float* table) {
    int32_t packed;
    std::memcpy(&packed, codes, sizeof packed);
    const __m256i indices =
        _mm256_srlv_epi32(_mm256_set1_epi32(packed), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    // A permutation reads the low three bits of an index, the blend, by the sign, its fourth.
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(_mm256_loadu_ps(table), indices),
                            _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), indices),
                            _mm256_castsi256_ps(_mm256_slli_epi32(indices, 28)));
  }
};

// An e5m2 number is the upper byte of an f16 number.
struct E5M2 {
  static constexpr int bits = 8;
  static Floats floats(const uint8_t* codes, const float*) {
    return {eight(codes), eight(codes + 8), eight(codes + 16), eight(codes + 24)};
  }

 private:
  static __m256 eight(const uint8_t* codes) {
    return _mm256_cvtph_ps(_mm_unpacklo_epi8(_mm_setzero_si128(), load8(codes)));
  }
};

// An e4m3 number moved into the fields of f16 is worth 2^-8 of it, subnormal numbers included; its NaN
// becomes one.
struct E4M3 {
  static constexpr int bits = 8;
  static Floats floats(const uint8_t* codes, const float*) {
    const __m256i first = halves(codes), second = halves(codes + 16);
    return {eight(_mm256_castsi256_si128(first)), eight(_mm256_extracti128_si256(first, 1)),
            eight(_mm256_castsi256_si128(second)), eight(_mm256_extracti128_si256(second, 1))};
  }

 private:
  static __m256i halves(const uint8_t* codes) {
    const __m256i wide = _mm256_cvtepi8_epi16(load16(codes));
    const __m256i largest = _mm256_set1_epi16(0x7F);
    const __m256i magnitude = _mm256_and_si256(wide, largest);
    const __m256i sign = _mm256_and_si256(wide, _mm256_set1_epi16(-0x8000));
    const __m256i nan = _mm256_srli_epi16(_mm256_cmpeq_epi16(magnitude, largest), 1);
    return _mm256_or_si256(_mm256_or_si256(sign, nan), _mm256_slli_epi16(magnitude, 7));
  }
  // Not left to the scale: 2^8 times a large one would overflow.
  static __m256 eight(__m128i halves) { return _mm256_mul_ps(_mm256_cvtph_ps(halves), _mm256_set1_ps(256)); }
};

// Scales of the MX formats: the exponent field of float32, but for 2^-127, which is subnormal, and NaN.
struct E8M0 {
  static constexpr int bits = 8;
  static Floats floats(const uint8_t* codes, const float*) {
    return {eight(codes), eight(codes + 8), eight(codes + 16), eight(codes + 24)};
  }

 private:
  static __m256 eight(const uint8_t* codes) {
    const __m256i highest_fraction = _mm256_set1_epi32(0x00400000);
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtepu8_epi32(load8(codes)), 23);
    const __m256i is_nan = _mm256_cmpeq_epi32(exponent, _mm256_set1_epi32(0x7F800000));
    return _mm256_castsi256_ps(_mm256_or_si256(_mm256_max_epi32(exponent, highest_fraction),
                                               _mm256_and_si256(is_nan, highest_fraction)));
  }
};

// Calls decode_step(codes, group of the first 16, group of the last 16, target) for every 32 elements. Groups
// hold at least 16, so there are no more than these two.
template <typename Element, typename Number, typename DecodeStep>
void for_each_step(const GroupedCodes& in, Number* out, DecodeStep&& decode_step) {
  const uint8_t* codes = in.codes + in.begin / 8 * Element::bits;
  int64_t k = in.begin;
  for (; k + kStep <= in.end; k += kStep, codes += kStep * Element::bits / 8, out += kStep) {
    decode_step(codes, in.group(k), in.group(k + kStep / 2), out);
  }
  if (k < in.end) {
    const int64_t count = in.end - k;
    uint8_t rest[kStep] = {};
    Number numbers[kStep];
    std::memcpy(rest, codes, static_cast<size_t>((count * Element::bits + 7) / 8));
    decode_step(rest, in.group(k), in.group(count > kStep / 2 ? k + kStep / 2 : k), numbers);
    std::memcpy(out, numbers, static_cast<size_t>(count) * sizeof(Number));
  }
}

// `in` is passed by value: vector stores may alias anything, and would have a struct in memory read again
// every step.
template <typename Element, bool kZeros>
void decode_as(const GroupedCodes in, float* out) {
  for_each_step<Element>(in, out, [&](const uint8_t* codes, int64_t first, int64_t second, float* target) {
    Floats x = Element::floats(codes, in.table);
    if constexpr (kZeros) {
      const __m256 zero0 = _mm256_broadcast_ss(in.zeros + first),
                   zero1 = _mm256_broadcast_ss(in.zeros + second);
      x = {_mm256_sub_ps(x.x0, zero0), _mm256_sub_ps(x.x1, zero0), _mm256_sub_ps(x.x2, zero1),
           _mm256_sub_ps(x.x3, zero1)};
    }
    const __m256 scale0 = _mm256_broadcast_ss(in.scales + first),
                 scale1 = _mm256_broadcast_ss(in.scales + second);
    _mm256_storeu_ps(target, _mm256_mul_ps(x.x0, scale0));
    _mm256_storeu_ps(target + 8, _mm256_mul_ps(x.x1, scale0));
    _mm256_storeu_ps(target + 16, _mm256_mul_ps(x.x2, scale1));
    _mm256_storeu_ps(target + 24, _mm256_mul_ps(x.x3, scale1));
  });
}

template <typename Element, bool kZeros>
void decode_integers_as(const GroupedCodes in, int16_t* out) {
  for_each_step<Element>(in, out, [&](const uint8_t* codes, int64_t first, int64_t second, int16_t* target) {
    const Bytes bytes = Element::bytes(codes);
    __m256i low = _mm256_cvtepi8_epi16(bytes.low), high = _mm256_cvtepi8_epi16(bytes.high);
    if constexpr (kZeros) {
      low = _mm256_sub_epi16(low, _mm256_set1_epi16(static_cast<int16_t>(in.zeros[first])));
      high = _mm256_sub_epi16(high, _mm256_set1_epi16(static_cast<int16_t>(in.zeros[second])));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + 16), high);
  });
}

__m256 bf16_to_f32(__m128i halves) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
__m256 f16_to_f32(__m128i halves) { return _mm256_cvtph_ps(halves); }

template <__m256 (*kConvert)(__m128i)>
void decode_halves(const uint16_t* halves, int64_t count, float* out) {
  const auto eight = [](const uint16_t* from) {
    return kConvert(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  };
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, eight(halves + i));
  if (i < count) {
    uint16_t rest[8] = {};
    float numbers[8];
    std::memcpy(rest, halves + i, static_cast<size_t>(count - i) * sizeof(uint16_t));
    _mm256_storeu_ps(numbers, eight(rest));
    std::memcpy(out + i, numbers, static_cast<size_t>(count - i) * sizeof(float));
  }
}

}  // namespace

// Which elements have zero points is part of the formats: UINT4 always, INT8 sometimes, the others never.

void decode(const GroupedCodes& codes, float* out) {
  switch (codes.element) {
    case QUTLASS_E2M1: return decode_as<E2M1, false>(codes, out);
    case QUTLASS_E4M3: return decode_as<E4M3, false>(codes, out);
    case QUTLASS_E5M2: return decode_as<E5M2, false>(codes, out);
    case QUTLASS_E8M0: return decode_as<E8M0, false>(codes, out);
    case QUTLASS_INT8:
      return codes.zeros ? decode_as<Int8, true>(codes, out) : decode_as<Int8, false>(codes, out);
    case QUTLASS_INT4: return decode_as<Int4, false>(codes, out);
    case QUTLASS_UINT4: return decode_as<UInt4, true>(codes, out);
    default: return decode_as<NF4, false>(codes, out);
  }
}

void decode_integers(const GroupedCodes& codes, int16_t* out) {
  switch (codes.element) {
    case QUTLASS_INT8:
      return codes.zeros ? decode_integers_as<Int8, true>(codes, out)
                         : decode_integers_as<Int8, false>(codes, out);
    case QUTLASS_INT4: return decode_integers_as<Int4, false>(codes, out);
    default: return decode_integers_as<UInt4, true>(codes, out);
  }
}

void decode_dense(const void* data, int32_t dtype, int64_t count, float* out) {
  switch (dtype) {
    case QUTLASS_BF16: return decode_halves<bf16_to_f32>(static_cast<const uint16_t*>(data), count, out);
    case QUTLASS_F16: return decode_halves<f16_to_f32>(static_cast<const uint16_t*>(data), count, out);
    default: std::memcpy(out, data, static_cast<size_t>(count) * sizeof(float));
  }
}

}  // namespace qutlass::avx2
