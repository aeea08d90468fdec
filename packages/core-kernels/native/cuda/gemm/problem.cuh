// A matrix multiplication as an argument of a kernel.
#pragma once

#include "cuda/gemm/epilogue.cuh"
#include "cuda/gemm/expert_rows.h"
#include "cuda/gemm/operand.cuh"

namespace qutlass::cuda {

// D[m, n] = round(factor * sum_k A[m, k] * B[n, k] + bias[n]), A and B dense or quantized, and not rotated
// any more.
struct Problem {
  Operand a, b;
  Epilogue epilogue;
  int32_t m, n, k;
  // A dense A is quantized on the way, by kernels that do that: to this format, whose codes are of this kind.
  bool quantizes_a;
  Kind a_codes;
  qutlass_format a_format;
};

// n: rows of B of an expert, of which b has those of all.
struct ExpertsProblem : Problem {
  ExpertRows experts;
};

Problem problem_of(const qutlass_matmul_problem& problem);
// A part of it: an operand, and what the end of the problem reads and writes.
Operand operand_of(const qutlass_operand& operand);
Epilogue epilogue_of(const qutlass_matmul_problem& problem);
Kind kind_of_codes(int32_t element);

}  // namespace qutlass::cuda
