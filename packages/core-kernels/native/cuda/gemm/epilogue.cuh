// The end of D = round(factor * sum + bias), in double and rounded once.
#pragma once

#include <cstdint>

#include "numerics/dense.h"

namespace qutlass::cuda {

struct Epilogue {
  void* out;
  const void* bias;            // or null
  const float* alpha_pointer;  // or null
  const float* a_global_scale;
  const float* b_global_scale;  // or null
  double alpha;
  int32_t out_dtype, bias_dtype;
  int32_t cols;

  // Device-resident scalars are read when the kernel runs.
  __device__ double factor() const { return factor(a_global_scale ? *a_global_scale : 1.0f); }
  __device__ double factor(float a_global) const {
    double value = alpha;
    if (alpha_pointer) value *= static_cast<double>(*alpha_pointer);
    const double b_global = b_global_scale ? static_cast<double>(*b_global_scale) : 1.0;
    return value / (static_cast<double>(a_global) * b_global);
  }

  __device__ double addend(int n) const {
    return bias ? static_cast<double>(load_dense(bias, bias_dtype, n)) : 0.0;
  }

  // D[m, n] for a value of factor().
  __device__ void store(int m, int n, double factor, double sum) const { store(m, n, n, factor, sum); }
  // The same where the column comes from row `b_row` of B, and of the bias.
  __device__ void store(int m, int n, int b_row, double factor, double sum) const {
    store_dense_once(out, out_dtype, static_cast<int64_t>(m) * cols + n, factor * sum + addend(b_row));
  }
};

}  // namespace qutlass::cuda
