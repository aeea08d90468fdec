// What every matrix multiplication kernel shares: the checks of a problem and the end of D = A B^T.
#pragma once

#include <cstdint>

#include "device.h"
#include "memory.h"
#include "qutlass.h"

namespace qutlass {

// Extents of an operand [rows, K].
inline int64_t operand_rows(const qutlass_operand& operand) {
  return operand.is_quantized ? operand.quantized.rows : operand.dense.shape[0];
}
inline int64_t operand_cols(const qutlass_operand& operand) {
  return operand.is_quantized ? operand.quantized.cols : operand.dense.shape[1];
}

// Throws unless operands, rotation, alpha, bias and out fit together and the pair of formats is one that
// exists: dense x dense, dense x any quantized, and quantized pairs of one family or of mxfp4/mxfp8 and
// int4/int8.
void require_matmul_problem(const qutlass_matmul_problem* problem);

// The same for products of experts, of which B and bias hold N rows each; out is [M, N]. Returns their
// number.
int64_t require_experts_problem(const qutlass_matmul_problem* problem, const qutlass_tensor* offsets);

// Both operands hold integer codes, so their products can be added without error.
bool is_integer_pair(const qutlass_matmul_problem& problem);

// Writes the rotated rows of a dense A to `rotated`, float32 [M, K].
void rotate_operand(Context& context, const qutlass_tensor& a, const qutlass_rotation& rotation,
                    float* rotated);

// Calls run(problem) with the problem as kernels see it, a rotated A as a dense float32 matrix: the rotation
// costs little beside the multiplication, and is done once and not once per kernel.
template <typename Run>
void with_rotated_a(Context& context, const qutlass_matmul_problem& problem, Run&& run) {
  if (problem.a.is_quantized || problem.a_rotation.kind == QUTLASS_ROTATION_IDENTITY) return run(problem);
  qutlass_matmul_problem copy = problem;
  qutlass_tensor& a = copy.a.dense;
  const Scratch rotated(context.memory, static_cast<size_t>(a.shape[0] * a.shape[1]) * sizeof(float));
  rotate_operand(context, a, problem.a_rotation, rotated.as<float>());
  a.dtype = QUTLASS_F32;
  a.data = rotated.as<void>();
  copy.a_rotation = {};
  run(copy);
}

// What sums are multiplied with: alpha, by the global scales.
double epilogue_factor(const qutlass_matmul_problem& problem);

// D = round(factor * sum + bias). Reads alpha_pointer and the global scales, so it is made when the kernel
// runs.
class Epilogue {
 public:
  // Columns that one call may store.
  static constexpr int64_t kMaxCount = 16;

  explicit Epilogue(const qutlass_matmul_problem& problem);
  // Columns [n, n + count) of row m of D from their sums.
  void store(int64_t m, int64_t n, const double* sums, int64_t count) const;

 private:
  template <int32_t kDType>
  void store_as(int64_t offset, const double* sums, const float* bias, int64_t count) const;

  qutlass_tensor bias_;
  qutlass_tensor out_;
  double factor_;
};

}  // namespace qutlass
