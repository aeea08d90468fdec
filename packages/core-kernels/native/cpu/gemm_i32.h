// Matrix multiplication of int8 and int4 matrices with integer accumulators.
#pragma once

#include "device.h"
#include "primitives.h"
#include "qutlass.h"

namespace qutlass {

// Elements of K in a packed block. Products of codes less zero points, below 2^17 in magnitude, are added in
// int32 over at most this many, so no K overflows; scaled sums go on in double.
constexpr int kBlockI32 = 512;

void matmul_i32(Context& context, const qutlass_matmul_problem& problem, const Primitives& primitives);

}  // namespace qutlass
