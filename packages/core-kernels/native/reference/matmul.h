// The definition of matrix multiplication.
#pragma once

#include "device.h"
#include "qutlass.h"

namespace qutlass {

// D[m, n] = round(factor * sum_k A[m, k] * B[n, k] + bias[n]), every value dequantized to double and the
// products added in double in the order of k. Runs any problem that require_matmul_problem accepts and that
// has no rotation.
void matmul_reference(Context& context, const qutlass_matmul_problem& problem);

// The same for rows of A and of B from a_row and b_row on, as many as `out` has rows and columns.
void matmul_reference_of(Context& context, const qutlass_matmul_problem& problem, int64_t a_row,
                         int64_t b_row);

}  // namespace qutlass
