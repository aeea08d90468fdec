// The definition of AttendLoops, which becomes vector code of the instruction set that the including file is
// compiled for.
#pragma once

#include "cpu/attend.h"
#include "reference/dot.h"
#include "reference/exponential.h"

namespace qutlass {
namespace {

// The partial sums of four inner products, each as in dot.h.
inline void add_products_of_four(const float* a, const float* b, int64_t stride, int64_t count,
                                 Floats16 (&lanes)[4]) {
  constexpr int kLanes = 16;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Floats16 x, y;
    __builtin_memcpy(&x, a + i, sizeof x);
    for (int row = 0; row < 4; ++row) {
      __builtin_memcpy(&y, b + row * stride + i, sizeof y);
      lanes[row] += x * y;
    }
  }
  for (int row = 0; row < 4; ++row) add_products(a + i, b + row * stride + i, count - i, lanes[row]);
}

inline void score(const float* query, const float* keys, int64_t stride, int64_t count, int64_t head_dim,
                  float scale, float* scores) {
  int64_t t = 0;
  // Four rows at a time share what is loaded of the query, and the ends of their sums.
  for (; t + 4 <= count; t += 4, keys += 4 * stride) {
    Floats16 lanes[4] = {};
    add_products_of_four(query, keys, stride, head_dim, lanes);
    Floats4 rows[4];
    for (int i = 0; i < 4; ++i) rows[i] = quarter_sum(lanes[i]);
    const Floats4 low01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
    const Floats4 low23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
    const Floats4 high01 = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
    const Floats4 high23 = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
    const Floats4 even = __builtin_shufflevector(low01, low23, 0, 1, 4, 5) +
                         __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    const Floats4 odd = __builtin_shufflevector(low01, low23, 2, 3, 6, 7) +
                        __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
    const Floats4 four = scale * (even + odd);
    __builtin_memcpy(scores + t, &four, sizeof four);
  }
  for (; t < count; ++t, keys += stride) scores[t] = scale * dot(query, keys, head_dim);
}

inline float exponentiate(float* scores, int64_t count, float shift) {
  for (int64_t t = 0; t < count; ++t) scores[t] = exponential(scores[t] - shift);
  constexpr int kLanes = 16;
  Floats16 lanes{}, x{};
  int64_t t = 0;
  for (; t + kLanes <= count; t += kLanes) {
    __builtin_memcpy(&x, scores + t, sizeof x);
    lanes += x;
  }
  for (int lane = 0; t + lane < count; ++lane) lanes[lane] += scores[t + lane];
  return sum_of(lanes);
}

// The same for kVectors vectors of 16 elements of every row, whose sums stay in registers. Rows are added
// four at a time.
template <int kVectors>
inline void add_weighted_vectors(const float* weights, const float* values, int64_t stride, int64_t count,
                                 float* sum) {
  constexpr int kLanes = 16;
  Floats16 sums[kVectors];
  __builtin_memcpy(sums, sum, sizeof sums);
  int64_t t = 0;
  for (; t + 4 <= count; t += 4, values += 4 * stride) {
    for (int i = 0; i < kVectors; ++i) {
      Floats16 products[4];
      for (int row = 0; row < 4; ++row) {
        __builtin_memcpy(&products[row], values + row * stride + i * kLanes, sizeof products[row]);
        products[row] *= weights[t + row];
      }
      sums[i] += (products[0] + products[1]) + (products[2] + products[3]);
    }
  }
  for (; t < count; ++t, values += stride) {
    for (int i = 0; i < kVectors; ++i) {
      Floats16 x;
      __builtin_memcpy(&x, values + i * kLanes, sizeof x);
      sums[i] += weights[t] * x;
    }
  }
  __builtin_memcpy(sum, sums, sizeof sums);
}

inline void add_weighted(const float* weights, const float* values, int64_t stride, int64_t count,
                         int64_t head_dim, float* sum) {
  constexpr int kWide = 64, kNarrow = 16;
  int64_t i = 0;
  for (; i + kWide <= head_dim; i += kWide) {
    add_weighted_vectors<kWide / 16>(weights, values + i, stride, count, sum + i);
  }
  for (; i + kNarrow <= head_dim; i += kNarrow) {
    add_weighted_vectors<kNarrow / 16>(weights, values + i, stride, count, sum + i);
  }
  for (; i < head_dim; ++i) {
    int64_t t = 0;
    for (; t + 4 <= count; t += 4) {
      const float* v = values + t * stride + i;
      sum[i] += (weights[t] * v[0] + weights[t + 1] * v[stride]) +
                (weights[t + 2] * v[2 * stride] + weights[t + 3] * v[3 * stride]);
    }
    for (; t < count; ++t) sum[i] += weights[t] * values[t * stride + i];
  }
}

}  // namespace
}  // namespace qutlass
