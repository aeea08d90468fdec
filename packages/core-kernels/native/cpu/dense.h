// Products of two dense matrices as dot products of their rows, which takes B as it lies in memory: nothing
// is packed for a single use.
#pragma once

#include <cstdint>

#include "device.h"
#include "qutlass.h"

namespace qutlass {

// Rows of A and of B that are multiplied with each other at a time: 24 sums fill the vector registers that
// operands leave over. Fewer rows of A take 2 or 1.
inline constexpr int kDotRows = 4;
inline constexpr int kDotCols = 6;
// Elements of a row that stay in the first-level cache while they are multiplied with all rows of A.
inline constexpr int kDotBlock = 512;
inline constexpr int kDotLanes = 16;

// Adds to lanes[row][col][16] the products of `rows` rows of A with kDotCols of B along `count` elements, in
// vectors. Rows of A are float32, kDotBlock apart, zeros up to a multiple of 16; those of B in `dtype`.
using DotRows = void (*)(const float* a, const void* const (&b)[kDotCols], int64_t count, float* lanes);

struct DotLoops {
  // For rows of B in F32, BF16 or F16.
  DotRows (*find)(int32_t dtype, int rows);
  // sums[i] += the sum of 16 lanes; the lanes become 0.
  void (*gather)(float* lanes, int count, double* sums);
};

extern const DotLoops kAvx512DotLoops;

// Throws QUTLASS_E_UNSUPPORTED unless both operands are dense.
void require_dense(const qutlass_matmul_problem& problem);

void matmul_dense(Context& context, const qutlass_matmul_problem& problem, const DotLoops& loops);

}  // namespace qutlass
