// The loops of attention over rows of the cache, once per instruction set. Every set adds in the same order,
// without fused operations, so results are the same to the bit.
#pragma once

#include <cstdint>

namespace qutlass {

struct AttendLoops {
  // scores[t] = scale * dot(query, keys + t * stride) over `head_dim` elements, t < count.
  void (*score)(const float* query, const float* keys, int64_t stride, int64_t count, int64_t head_dim,
                float scale, float* scores);
  // scores[t] = exp(scores[t] - shift), t < count; returns their sum.
  float (*exponentiate)(float* scores, int64_t count, float shift);
  // sum[i] += weights[t] * values[t * stride + i], t < count.
  void (*add_weighted)(const float* weights, const float* values, int64_t stride, int64_t count,
                       int64_t head_dim, float* sum);
};

extern const AttendLoops kGenericAttendLoops;
extern const AttendLoops kAvx2AttendLoops;
extern const AttendLoops kAvx512AttendLoops;

// Those of the instruction set of the machine.
const AttendLoops& attend_loops();

}  // namespace qutlass
