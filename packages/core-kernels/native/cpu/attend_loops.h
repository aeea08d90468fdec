// The definition of AttendLoops, which becomes vector code of the instruction set that the including file is
// compiled for.
#pragma once

#include "cpu/attend.h"
#include "reference/dot.h"

namespace qutlass {
namespace {

inline void score(const float* query, const float* keys, int64_t stride, int64_t count, int64_t head_dim,
                  float scale, float* scores) {
  for (int64_t t = 0; t < count; ++t) scores[t] = scale * dot(query, keys + t * stride, head_dim);
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
