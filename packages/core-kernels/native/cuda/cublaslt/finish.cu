#include "cuda/cublaslt/finish.h"

#include <algorithm>

#include "cuda/gemm/problem.cuh"
#include "reference/matmul_problem.h"

namespace qutlass::cuda::cublaslt {
namespace {

constexpr int kThreads = 128;
// A thread has a column, and as many rows of it.
constexpr int kRows = 8;
// The largest extent of a grid but in its first direction.
constexpr int64_t kMaxBlocks = 65535;

struct RowScales {
  const float* scales;  // or null
  bool per_row;

  __device__ double at(int row) const {
    return scales ? static_cast<double>(__ldg(scales + (per_row ? row : 0))) : 1.0;
  }
};

RowScales scales_of(const qutlass_operand& operand) {
  if (!operand.is_quantized) return {nullptr, false};
  return {static_cast<const float*>(operand.quantized.scales), scale_rows(operand.quantized) > 1};
}

template <typename Sum>
__global__ void __launch_bounds__(kThreads)
    finish_kernel(const Sum* sums, RowScales a, RowScales b, Epilogue epilogue, int m, int n) {
  const int col = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (col >= n) return;
  const double factor = epilogue.factor() * b.at(col);
  for (int row = static_cast<int>(blockIdx.y); row < m; row += static_cast<int>(gridDim.y)) {
    const Sum sum = sums[static_cast<int64_t>(row) * n + col];
    epilogue.store(row, col, factor * a.at(row), static_cast<double>(sum));
  }
}

template <typename Sum>
void launch(const qutlass_matmul_problem& problem, const void* sums, cudaStream_t stream) {
  const auto m = static_cast<int>(operand_rows(problem.a)), n = static_cast<int>(operand_rows(problem.b));
  const dim3 blocks(static_cast<unsigned>(ceil_div(n, kThreads)),
                    static_cast<unsigned>(std::min(ceil_div(m, kRows), kMaxBlocks)));
  finish_kernel<<<blocks, kThreads, 0, stream>>>(static_cast<const Sum*>(sums), scales_of(problem.a),
                                                 scales_of(problem.b), epilogue_of(problem), m, n);
}

}  // namespace

void finish(const qutlass_matmul_problem& problem, const void* sums, cudaStream_t stream) {
  return is_integer_pair(problem) ? launch<int32_t>(problem, sums, stream)
                                  : launch<float>(problem, sums, stream);
}

}  // namespace qutlass::cuda::cublaslt
