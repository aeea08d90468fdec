// The inner product of two float32 vectors.
#pragma once

#include <cstdint>

namespace qutlass {
namespace {  // a copy for each file, which may be compiled for another instruction set

// Vectors of GCC and Clang, which any target has; wider ones than its registers are several.
typedef float Floats16 __attribute__((vector_size(64)));
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats4 __attribute__((vector_size(16)));

// Sums of lanes add the upper half to the lower one until one is left: an order that registers of any width
// can follow.
inline Floats4 quarter_sum(const Floats16& lanes) {
  const Floats8 eight = __builtin_shufflevector(lanes, lanes, 0, 1, 2, 3, 4, 5, 6, 7) +
                        __builtin_shufflevector(lanes, lanes, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
         __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
}

inline float sum_of(const Floats16& lanes) {
  const Floats4 four = quarter_sum(lanes);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// The partial sums of an inner product.
inline void add_products(const float* a, const float* b, int64_t count, Floats16& lanes) {
  constexpr int kLanes = 16;
  Floats16 x{}, y{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    __builtin_memcpy(&x, a + i, sizeof x);
    __builtin_memcpy(&y, b + i, sizeof y);
    lanes += x * y;
  }
  for (int lane = 0; i + lane < count; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
}

inline float dot(const float* a, const float* b, int64_t count) {
  Floats16 lanes{};
  add_products(a, b, count, lanes);
  return sum_of(lanes);
}

}  // namespace
}  // namespace qutlass
