// Root mean square normalization of a row, for every kernel that has a use for it: equal bits.
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// The squares of neighbours, added to a sum one after the other.
template <int kCount>
__device__ inline float add_squares(const float* values, float sum) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) sum = fmaf(values[i], values[i], sum);
  return sum;
}

// What a row is multiplied with before its weights.
__device__ inline float rms_factor(float sum_of_squares, int64_t width, float eps) {
  return 1.0f / sqrtf(sum_of_squares / static_cast<float>(width) + eps);
}

}  // namespace qutlass::cuda
