// The end of a matrix multiplication whose sums cuBLASLt has written.
#pragma once

#include <cuda_runtime.h>

#include "qutlass.h"

namespace qutlass::cuda::cublaslt {

// out[m, n] = round(factor * scales * sums[m, n] + bias[n]), the factor and scales of the problem; sums [M,
// N] are int32 for int8 operands, float32 for others. Operands have one scale, one per row, or none.
void finish(const qutlass_matmul_problem& problem, const void* sums, cudaStream_t stream);

}  // namespace qutlass::cuda::cublaslt
