#include "matmul.h"

#include "matmul_problem.h"
#include "numerics/dense.h"
#include "numerics/quantized.h"

namespace qutlass {
namespace {

// Row `row` of an operand, before the division by its global scale.
void dequantize_row(const qutlass_operand& operand, int64_t row, double* out) {
  const int64_t cols = operand_cols(operand);
  for (int64_t k = 0; k < cols; ++k) {
    out[k] = operand.is_quantized
                 ? dequantize_element(operand.quantized, row, k)
                 : static_cast<double>(load_dense(operand.dense.data, operand.dense.dtype, row * cols + k));
  }
}

}  // namespace

void matmul_reference(Context& context, const qutlass_matmul_problem& problem) {
  matmul_reference_of(context, problem, 0, 0);
}

void matmul_reference_of(Context& context, const qutlass_matmul_problem& problem, int64_t a_row,
                         int64_t b_row) {
  const int64_t m = problem.out.shape[0], n = problem.out.shape[1], k = operand_cols(problem.a);
  const Epilogue epilogue(problem);
  const Scratch a(context.memory, static_cast<size_t>(m * k) * sizeof(double));
  context.threads.parallel_for(m, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      dequantize_row(problem.a, a_row + row, a.as<double>() + row * k);
  });
  context.threads.parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    const Scratch scratch(context.memory, static_cast<size_t>(k) * sizeof(double));
    double* b = scratch.as<double>();
    for (int64_t col = begin; col < end; ++col) {
      dequantize_row(problem.b, b_row + col, b);
      for (int64_t row = 0; row < m; ++row) {
        const double* values = a.as<double>() + row * k;
        double sum = 0;
        for (int64_t i = 0; i < k; ++i) sum += values[i] * b[i];
        epilogue.store(row, col, &sum, 1);
      }
    }
  });
}

}  // namespace qutlass
