// The definition of matrix multiplication.
#pragma once

#include "device.h"
#include "qutlass.h"

namespace qutlass {

// D[m, n] = round(factor * sum_k A[m, k] * B[n, k] + bias[n]), every value dequantized to double and the
// products added in double in the order of k. Runs any problem that require_matmul_problem accepts and that
// has no rotation.
void matmul_reference(Context& context, const qutlass_matmul_problem& problem);

}  // namespace qutlass
