// From a matrix multiplication of the C ABI to a kernel launch.
#include "cuda/gemm/problem.cuh"

#include <bit>

#include "cuda/gemm/kernels.h"
#include "cuda/operations.h"
#include "cuda/skinny/skinny.h"
#include "cuda_stream.h"
#include "reference/matmul_problem.h"
#include "scratch.h"

namespace qutlass::cuda {
namespace {

// Shifts an index of 31 bits to 0.
constexpr int32_t kWhole = 31;

Kind kind_of_dense(int32_t dtype) {
  switch (dtype) {
    case QUTLASS_BF16: return Kind::kBF16;
    case QUTLASS_F16: return Kind::kF16;
    default: return Kind::kF32;
  }
}

const float* global_scale_of(const qutlass_operand& operand) {
  return operand.is_quantized ? operand.quantized.global_scale : nullptr;
}

}  // namespace

Kind kind_of_codes(int32_t element) {
  switch (element) {
    case QUTLASS_E2M1: return Kind::kE2M1;
    case QUTLASS_E4M3: return Kind::kE4M3;
    case QUTLASS_E5M2: return Kind::kE5M2;
    case QUTLASS_INT8: return Kind::kInt8;
    case QUTLASS_INT4: return Kind::kInt4;
    case QUTLASS_UINT4: return Kind::kUint4;
    default: return Kind::kNf4;
  }
}

Operand operand_of(const qutlass_operand& operand) {
  Operand x{};
  x.kind = operand.is_quantized ? kind_of_codes(operand.quantized.format.element)
                                : kind_of_dense(operand.dense.dtype);
  x.rows = static_cast<int32_t>(operand_rows(operand));
  x.cols = static_cast<int32_t>(operand_cols(operand));
  x.groups = 1;
  x.row_shift = x.group_shift = kWhole;
  x.data = static_cast<const uint8_t*>(operand.is_quantized ? operand.quantized.codes : operand.dense.data);
  if (operand.is_quantized) {
    const qutlass_quantized& q = operand.quantized;
    x.scales = q.scales;
    x.zero_points = q.zero_points;
    x.global_scale = q.global_scale;
    x.scale_dtype = q.format.scale_dtype;
    x.groups = static_cast<int32_t>(scale_cols(q));
    // Groups of part of a matrix are powers of two.
    if (q.format.group_rows) x.row_shift = std::countr_zero(static_cast<uint32_t>(q.format.group_rows));
    if (q.format.group_cols) x.group_shift = std::countr_zero(static_cast<uint32_t>(q.format.group_cols));
    x.blocked_scales = q.scale_layout == QUTLASS_SCALES_BLOCKED_128X4;
  }
  x.row_bytes = int64_t{x.cols} * bits_of(x.kind) / 8;
  x.aligned = reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.row_bytes % 16 == 0;
  return x;
}

Problem problem_of(const qutlass_matmul_problem& problem) {
  Problem view{};
  view.a = operand_of(problem.a);
  view.b = operand_of(problem.b);
  view.m = view.a.rows;
  view.n = static_cast<int32_t>(problem.out.shape[1]);
  view.k = view.a.cols;
  view.epilogue = epilogue_of(problem);
  view.quantizes_a = problem.quantizes_a != 0;
  view.a_format = problem.a_format;
  view.a_codes = kind_of_codes(problem.a_format.element);
  return view;
}

namespace {

// Calls launch(problem as kernels see it, properties of the device, handle of the stream). offsets: another
// operand, or null.
template <typename Launch>
void enqueue_view(qutlass_stream& stream, const qutlass_matmul_problem& problem, const void* offsets,
                  Launch&& launch) {
  qutlass_matmul_problem copy = problem;
  const bool rotated = !copy.a.is_quantized && copy.a_rotation.kind != QUTLASS_ROTATION_IDENTITY;
  const int64_t m = operand_rows(copy.a), k = operand_cols(copy.a);
  const DeviceScratch expanded(stream.device, rotated ? static_cast<size_t>(m * k) * sizeof(float) : 0);
  if (rotated) {
    const qutlass_tensor a{expanded.as<void>(), QUTLASS_F32, 2, {m, k}};
    rotate(stream, copy.a.dense, copy.a_rotation, a);
    copy.a.dense = a;
  }
  const Problem kernel_problem = problem_of(copy);
  const Operand &a = kernel_problem.a, &b = kernel_problem.b;
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("matmul",
           {a.data, a.scales, a.zero_points, a.global_scale, b.data, b.scales, b.zero_points, b.global_scale,
            copy.alpha_pointer, copy.bias.data, copy.out.data, offsets},
           [&](cudaStream_t handle) { launch(kernel_problem, cuda.cuda_device().properties(), handle); });
}

}  // namespace

Epilogue epilogue_of(const qutlass_matmul_problem& problem) {
  Epilogue end{};
  end.out = problem.out.data;
  end.bias = problem.bias.data;
  end.alpha_pointer = problem.alpha_pointer;
  end.a_global_scale = global_scale_of(problem.a);
  end.b_global_scale = global_scale_of(problem.b);
  end.alpha = static_cast<double>(problem.alpha);
  end.out_dtype = problem.out.dtype;
  end.bias_dtype = problem.bias.dtype;
  end.cols = static_cast<int32_t>(problem.out.shape[1]);
  return end;
}

void require_extents(const qutlass_matmul_problem& problem) {
  constexpr int64_t kLimit = int64_t{1} << 30;
  const int64_t m = operand_rows(problem.a), n = operand_rows(problem.b), k = operand_cols(problem.a);
  if (m <= kLimit && n <= kLimit && k <= kLimit) return;
  fail(QUTLASS_E_UNSUPPORTED, "a and b: expected M, N and K up to %lld, got %lld, %lld and %lld",
       static_cast<long long>(kLimit), static_cast<long long>(m), static_cast<long long>(n),
       static_cast<long long>(k));
}

void enqueue_matmul(qutlass_stream& stream, const qutlass_matmul_problem& problem, Launch launch) {
  enqueue_view(stream, problem, nullptr, launch);
}

void matmul_experts(Stream stream, const qutlass_matmul_problem& problem, Tensor offsets) {
  require_extents(problem);
  const ExpertRows rows{static_cast<const int32_t*>(offsets.data), static_cast<int>(offsets.shape[0] - 1),
                        static_cast<int>(operand_rows(problem.a))};
  if (takes_experts(problem, rows)) return enqueue_experts(stream, problem, rows);
  const auto launch = is_integer_pair(problem) ? launch_i32_mma_experts : launch_f32_mma_experts;
  enqueue_view(stream, problem, offsets.data,
               [&](const Problem& whole, const cudaDeviceProp&, cudaStream_t handle) {
                 launch(ExpertsProblem{whole, rows}, handle);
               });
}

}  // namespace qutlass::cuda
