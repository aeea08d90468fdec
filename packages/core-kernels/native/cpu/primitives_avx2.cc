// The inner loops in AVX2, FMA and F16C.
#include "primitives.h"

#include <immintrin.h>

#include <cstring>

#include "decode_avx2.h"

namespace qutlass {
namespace {

constexpr int kLanes = 8;

// ---- packing ----

// Eight words of each of eight rows: row r of the result is word r of every row.
void transpose8(const float* const* rows, int64_t at, __m256* out) {
  __m256 r[8], t[8];
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(rows[i] + at);
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    out[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    out[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
  }
}

// Eight words are stored for six: the two too many are overwritten by the next six, and the last are made one
// by one.
void interleave_a(const float* const* rows, int64_t count, float* out) {
  static_assert(kPanelA == 6);
  const float* padded[8] = {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[5], rows[5]};
  int64_t i = 0;
  for (; i + kLanes < count; i += kLanes) {
    __m256 columns[kLanes];
    transpose8(padded, i, columns);
    for (int j = 0; j < kLanes; ++j) _mm256_storeu_ps(out + (i + j) * kPanelA, columns[j]);
  }
  for (; i < count; ++i) {
    for (int r = 0; r < kPanelA; ++r) _mm_store_ss(out + i * kPanelA + r, _mm_load_ss(rows[r] + i));
  }
}

void interleave_b(const float* const* rows, int64_t count, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int half = 0; half < kPanelB; half += kLanes) {
      __m256 columns[kLanes];
      transpose8(rows + half, i, columns);
      for (int j = 0; j < kLanes; ++j) _mm256_storeu_ps(out + (i + j) * kPanelB + half, columns[j]);
    }
  }
  for (; i < count; ++i) {
    for (int r = 0; r < kPanelB; ++r) _mm_store_ss(out + i * kPanelB + r, _mm_load_ss(rows[r] + i));
  }
}

// Words are moved as floats, whatever they hold: loads, shuffles and stores keep their bits.
void interleave(const void* const* rows, int width, int64_t count, void* out) {
  const float* words[kPanelB];
  for (int r = 0; r < width; ++r) words[r] = static_cast<const float*>(rows[r]);
  (width == kPanelA ? interleave_a : interleave_b)(words, count, static_cast<float*>(out));
}

// ---- tiles ----

// Written out rather than looped: GCC unrolls a loop only after it has decided that an array indexed by it
// lives in memory, and the sums have to live in registers.
template <typename Body>
[[gnu::always_inline]] inline void for_each_row(Body body) {
  static_assert(kPanelA == 6);
  body(0), body(1), body(2), body(3), body(4), body(5);
}

void multiply_f32(int64_t count, const float* a, const float* b, double* c) {
  __m256 left[kPanelA], right[kPanelA];
  for_each_row([&](int i) { left[i] = right[i] = _mm256_setzero_ps(); });
  for (int64_t k = 0; k < count; ++k, a += kPanelA, b += kPanelB) {
    const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + kLanes);
    for_each_row([&](int i) {
      const __m256 x = _mm256_broadcast_ss(a + i);
      left[i] = _mm256_fmadd_ps(x, b0, left[i]);
      right[i] = _mm256_fmadd_ps(x, b1, right[i]);
    });
  }
  const auto add = [](double* target, __m128 four) {
    _mm256_storeu_pd(target, _mm256_add_pd(_mm256_loadu_pd(target), _mm256_cvtps_pd(four)));
  };
  for_each_row([&](int i) {
    double* row = c + i * kPanelB;
    add(row, _mm256_castps256_ps128(left[i]));
    add(row + 4, _mm256_extractf128_ps(left[i], 1));
    add(row + 8, _mm256_castps256_ps128(right[i]));
    add(row + 12, _mm256_extractf128_ps(right[i], 1));
  });
}

__m256i load_pairs(const int16_t* pairs) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs));
}

__m256i broadcast_pair(const int16_t* pair) {
  int32_t word;
  std::memcpy(&word, pair, sizeof word);
  return _mm256_set1_epi32(word);
}

void add_segment(int64_t pairs, const int16_t* a, const double* a_scales, const int16_t* b,
                 const double* b_scales, double* c) {
  __m256i left[kPanelA], right[kPanelA];
  for_each_row([&](int i) { left[i] = right[i] = _mm256_setzero_si256(); });
  for (int64_t k = 0; k < pairs; ++k, a += 2 * kPanelA, b += 2 * kPanelB) {
    const __m256i b0 = load_pairs(b), b1 = load_pairs(b + 2 * kLanes);
    for_each_row([&](int i) {
      const __m256i x = broadcast_pair(a + 2 * i);
      __m256i next_left = _mm256_add_epi32(left[i], _mm256_madd_epi16(x, b0));
      __m256i next_right = _mm256_add_epi32(right[i], _mm256_madd_epi16(x, b1));
      // Keeps GCC from making all products of the step before the first addition, which spills the sums.
      asm volatile("" : "+x"(next_left), "+x"(next_right));
      left[i] = next_left;
      right[i] = next_right;
    });
  }
  for_each_row([&](int i) {
    const __m256d a_scale = _mm256_broadcast_sd(a_scales + i);
    const auto add = [&](int j, __m128i four) {
      double* target = c + i * kPanelB + j;
      const __m256d scale = _mm256_mul_pd(a_scale, _mm256_loadu_pd(b_scales + j));
      _mm256_storeu_pd(target, _mm256_fmadd_pd(_mm256_cvtepi32_pd(four), scale, _mm256_loadu_pd(target)));
    };
    add(0, _mm256_castsi256_si128(left[i]));
    add(4, _mm256_extracti128_si256(left[i], 1));
    add(8, _mm256_castsi256_si128(right[i]));
    add(12, _mm256_extracti128_si256(right[i], 1));
  });
}

void multiply_i32(int64_t segments, int64_t pairs, int64_t last_pairs, const int16_t* a,
                  const double* a_scales, const int16_t* b, const double* b_scales, double* c) {
  for (; segments > 1; --segments) {
    add_segment(pairs, a, a_scales, b, b_scales, c);
    a += pairs * 2 * kPanelA;
    b += pairs * 2 * kPanelB;
    a_scales += kPanelA;
    b_scales += kPanelB;
  }
  add_segment(last_pairs, a, a_scales, b, b_scales, c);
}

// ---- dot products ----

double horizontal_sum(__m256 x) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  sum = _mm_add_ss(sum, _mm_movehdup_ps(sum));
  return static_cast<double>(_mm_cvtss_f32(sum));
}

// kRows rows of A share each load of b. kParts independent sums per row hide the latency of the additions.
template <int kRows, int kParts>
void dot_rows(const float* a, int64_t lda, const float* b, int64_t count, double* sums, int64_t stride) {
  __m256 parts[kRows][kParts];
  for (auto& row : parts) {
    for (auto& part : row) part = _mm256_setzero_ps();
  }
  int64_t i = 0;
  for (; i + kParts * kLanes <= count; i += kParts * kLanes) {
    for (int p = 0; p < kParts; ++p) {
      const __m256 y = _mm256_loadu_ps(b + i + p * kLanes);
      for (int r = 0; r < kRows; ++r) {
        parts[r][p] = _mm256_fmadd_ps(_mm256_loadu_ps(a + r * lda + i + p * kLanes), y, parts[r][p]);
      }
    }
  }
  static constexpr int32_t kMask[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
  for (; i < count; i += kLanes) {
    const int64_t left = count - i < kLanes ? count - i : kLanes;
    const __m256i mask = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask + kLanes - left));
    const __m256 y = _mm256_maskload_ps(b + i, mask);
    for (int r = 0; r < kRows; ++r) {
      parts[r][0] = _mm256_fmadd_ps(_mm256_maskload_ps(a + r * lda + i, mask), y, parts[r][0]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    __m256 sum = parts[r][0];
    for (int p = 1; p < kParts; ++p) sum = _mm256_add_ps(sum, parts[r][p]);
    sums[r * stride] += horizontal_sum(sum);
  }
}

void dot_f32(int64_t rows, const float* a, int64_t lda, const float* b, int64_t count, double* sums,
             int64_t stride) {
  for (; rows >= 4; rows -= 4, a += 4 * lda, sums += 4 * stride)
    dot_rows<4, 2>(a, lda, b, count, sums, stride);
  switch (rows) {
    case 3: return dot_rows<3, 2>(a, lda, b, count, sums, stride);
    case 2: return dot_rows<2, 4>(a, lda, b, count, sums, stride);
    case 1: return dot_rows<1, 4>(a, lda, b, count, sums, stride);
    default: return;
  }
}

double dot_i32(int64_t segments, int64_t pairs, int64_t last_pairs, const int16_t* a, const double* a_scales,
               const int16_t* b, const double* b_scales) {
  // The integer sums of a segment are scaled lane by lane, and lanes are added only at the end.
  __m256d low = _mm256_setzero_pd(), high = low;
  double rest = 0;
  for (int64_t segment = 0; segment < segments; ++segment) {
    const int64_t count = 2 * (segment + 1 < segments ? pairs : last_pairs);
    __m256i sum = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load_pairs(a + i), load_pairs(b + i)));
    }
    const double scale = a_scales[segment] * b_scales[segment];
    low = _mm256_fmadd_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(sum)), _mm256_set1_pd(scale), low);
    high = _mm256_fmadd_pd(_mm256_cvtepi32_pd(_mm256_extracti128_si256(sum, 1)), _mm256_set1_pd(scale), high);
    if (i < count) {
      int32_t tail = 0;
      for (; i < count; ++i) tail += a[i] * b[i];
      rest += tail * scale;
    }
    a += count;
    b += count;
  }
  const __m256d four = _mm256_add_pd(low, high);
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two))) + rest;
}

}  // namespace

const Primitives kAvx2Primitives = {
    avx2::decode, avx2::decode_integers, avx2::decode_dense, interleave, multiply_f32, multiply_i32, dot_f32,
    dot_i32};

}  // namespace qutlass
