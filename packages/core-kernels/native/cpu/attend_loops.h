// The definition of AttendLoops, which becomes vector code of the instruction set that the including file is
// compiled for.
#pragma once

#include "cpu/attend.h"
#include "reference/dot.h"
#include "reference/exponential.h"

namespace qutlass {
namespace {

inline void score(const float* query, const float* keys, int64_t stride, int64_t count, int64_t head_dim,
                  float scale, float* scores) {
  int64_t t = 0;
  // Four rows at a time share the ends of their sums.
  for (; t + 4 <= count; t += 4, keys += 4 * stride) {
    Floats4 rows[4];
    for (int i = 0; i < 4; ++i) {
      Floats16 lanes{};
      add_products(query, keys + i * stride, head_dim, lanes);
      rows[i] = quarter_sum(lanes);
    }
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

// Four rows to each pass over the sum.
inline void add_weighted(const float* weights, const float* values, int64_t stride, int64_t count,
                         int64_t head_dim, float* sum) {
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) {
    const float w0 = weights[t], w1 = weights[t + 1], w2 = weights[t + 2], w3 = weights[t + 3];
    const float* v0 = values + t * stride;
    const float* v1 = v0 + stride;
    const float* v2 = v1 + stride;
    const float* v3 = v2 + stride;
    for (int64_t i = 0; i < head_dim; ++i) sum[i] += (w0 * v0[i] + w1 * v1[i]) + (w2 * v2[i] + w3 * v3[i]);
  }
  for (; t < count; ++t) {
    for (int64_t i = 0; i < head_dim; ++i) sum[i] += weights[t] * values[t * stride + i];
  }
}

}  // namespace
}  // namespace qutlass
