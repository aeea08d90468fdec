// Matrix multiplication with float32 accumulators, for dense and floating-point operands and quantized
// weights.
#pragma once

#include "device.h"
#include "primitives.h"
#include "qutlass.h"

namespace qutlass {

// Elements of K that are added in float32 before the sum goes on in double. A sum of n products in float32 is
// off by at most n * 2^-24 of the sum of their magnitudes, and each product by 3 * 2^-24 from decoding: 192
// keeps the whole within 2^-16 whatever the numbers are.
constexpr int kBlockF32 = 192;

void matmul_f32(Context& context, const qutlass_matmul_problem& problem, const Primitives& primitives);

}  // namespace qutlass
