// The inner product of two float32 vectors.
#pragma once

#include <cstdint>

namespace qutlass {
namespace {  // a copy for each file, which may be compiled for another instruction set

// Vectors of GCC and Clang, which any target has; wider ones than its registers are several.
typedef float Floats16 __attribute__((vector_size(64)));
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats4 __attribute__((vector_size(16)));

// Sixteen partial sums, the upper half of them added to the lower one until one is left: a fixed order that
// vector registers of any width can follow.
inline float dot(const float* a, const float* b, int64_t count) {
  constexpr int kLanes = 16;
  Floats16 lanes{}, x{}, y{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    __builtin_memcpy(&x, a + i, sizeof x);
    __builtin_memcpy(&y, b + i, sizeof y);
    lanes += x * y;
  }
  for (int lane = 0; i + lane < count; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  const Floats8 eight = __builtin_shufflevector(lanes, lanes, 0, 1, 2, 3, 4, 5, 6, 7) +
                        __builtin_shufflevector(lanes, lanes, 8, 9, 10, 11, 12, 13, 14, 15);
  const Floats4 four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

}  // namespace
}  // namespace qutlass
