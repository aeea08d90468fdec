#include "cuda/skinny/bf16_rows.h"

#include <cstring>

#include "check.h"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/gemm/kernels.h"
#include "cuda/gemm/problem.cuh"
#include "cuda/operations.h"
#include "cuda/quantize/rotation.cuh"
#include "cuda/skinny/make_rows.cuh"
#include "launch.h"
#include "reference/matmul_problem.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

using MakeAnyRows = MakeRows<AnyRows, false, Kind::kE2M1, Kind::kE4M3, Kind::kE5M2, Kind::kInt8, Kind::kInt4,
                             Kind::kUint4, Kind::kNf4>;

// Two blocks to a multiprocessor: without a number, ptxas keeps to 80 registers for sm_80, and spills.
__global__ void __launch_bounds__(kThreads, 2)
    make_rows_kernel(const __grid_constant__ RowSource source, const __grid_constant__ MadeRows rows,
                     float* global_scale) {
  await_dependency();
  __shared__ SharedScales<kMostMade, kWarps> scales;
  const auto first = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  const float found =
      MakeAnyRows::make(source, rows, {first, static_cast<int>(gridDim.x) * kThreads}, scales);
  if (first == 0 && global_scale) *global_scale = found;
}

void launch_make_rows(CudaStream& stream, const RowSource& source, const MadeRows& rows,
                      float* global_scale) {
  const int pieces = source.a.rows * ((rows.cols + kTile - 1) / kTile);
  launch_dependent(stream, make_rows_kernel,
                   {static_cast<unsigned>((pieces + kThreads - 1) / kThreads), kThreads}, source, rows,
                   global_scale);
}

bool is_rotated(const qutlass_matmul_problem& problem) {
  return !problem.a.is_quantized && problem.a_rotation.kind != QUTLASS_ROTATION_IDENTITY;
}

// Whether what makes rows also rotates them.
bool rotates_on_the_way(const qutlass_matmul_problem& problem) {
  return is_rotated(problem) && rotate_by(problem.a_rotation) == RotateBy::kLanes;
}

bool can_be_read(const qutlass_matmul_problem& problem) {
  const qutlass_tensor& a = problem.a.dense;
  return !problem.a.is_quantized && !problem.quantizes_a && !is_rotated(problem) && a.dtype == QUTLASS_BF16 &&
         a.shape[1] % 8 == 0 && reinterpret_cast<uintptr_t>(a.data) % 16 == 0;
}

// The format of A once it is quantized; null if it stays dense.
const qutlass_format* format_of(const qutlass_matmul_problem& problem) {
  if (problem.quantizes_a) return &problem.a_format;
  return problem.a.is_quantized ? &problem.a.quantized.format : nullptr;
}

bool has_row_factors(const qutlass_format& format) {
  return format.group_cols == 0 && format.element != QUTLASS_NF4;
}

// Floats have at most four significant bits and these scales four, integers less their zero point eight.
bool has_values_in_bf16(const qutlass_format& format) {
  const bool is_float =
      format.element == QUTLASS_E2M1 || format.element == QUTLASS_E4M3 || format.element == QUTLASS_E5M2;
  return has_row_factors(format) ||
         (is_float && (format.scale_dtype == QUTLASS_F8_E8M0 || format.scale_dtype == QUTLASS_F8_E4M3));
}

// How many rows of bf16 have a row of A as their sum: one where bf16 has its values or, of a quantized A, its
// codes less zero points, times the scales inside of a row; else two, up to 2^-17 of a value.
int parts_of(const qutlass_matmul_problem& problem) {
  if (const qutlass_format* format = format_of(problem)) return has_values_in_bf16(*format) ? 1 : 2;
  return problem.a.dense.dtype == QUTLASS_BF16 && !is_rotated(problem) ? 1 : 2;
}

// Working memory: rows, their factors, a global scale.
struct Layout {
  size_t factors, global_scale, bytes;

  Layout(int rows, int parts, int cols) {
    factors = static_cast<size_t>(rows) * static_cast<size_t>(parts) * static_cast<size_t>(cols) * 2;
    global_scale = factors + static_cast<size_t>(rows) * sizeof(float);
    bytes = global_scale + sizeof(float);
  }
};

}  // namespace

bool has_row_factors(const qutlass_matmul_problem& problem) {
  const qutlass_format* format = format_of(problem);
  return format && has_row_factors(*format);
}

bool quantizes_on_the_way(const qutlass_matmul_problem& problem) {
  return is_quantized_by_blocks(problem) && (!is_rotated(problem) || rotates_on_the_way(problem));
}

RowSource row_source(const qutlass_matmul_problem& problem) {
  RowSource source{};
  source.a = operand_of(problem.a);
  source.codes = Kind::kF32;
  if (rotates_on_the_way(problem)) source.rotation = kernel_rotation(problem.a_rotation);
  if (problem.quantizes_a) {
    source.format = problem.a_format;
    source.codes = kind_of_codes(problem.a_format.element);
  }
  source.has_row_factors = has_row_factors(problem);
  return source;
}

bool blocks_make(const RowSource& source, int parts, bool codes) {
  const Operand& a = source.a;
  const auto takes = [&](Kind kind) {
    return parts == 1 && (codes ? kind == Kind::kInt8 : kind == Kind::kE2M1 || kind == Kind::kE4M3);
  };
  if (a.rows * parts > kMostMade || int64_t{a.rows} * a.cols > kMostOfBlocks) return false;
  if (!is_dense(a.kind)) return takes(a.kind);
  return a.aligned && a.cols % kTile == 0 && (is_dense(source.codes) ? parts == 2 : takes(source.codes));
}

Bf16Rows::Bf16Rows(CudaStream& stream, const qutlass_matmul_problem& problem, size_t block_bytes)
    : rows_(static_cast<int>(operand_rows(problem.a))),
      parts_(parts_of(problem)),
      cols_(static_cast<int>((operand_cols(problem.a) + 7) / 8 * 8)),
      rotated_(stream.device, is_rotated(problem) && !rotates_on_the_way(problem)
                                  ? static_cast<size_t>(element_count(problem.a.dense)) * sizeof(float)
                                  : 0),
      global_scale_(problem.a.is_quantized ? problem.a.quantized.global_scale : nullptr) {
  if (can_be_read(problem)) {
    data_ = problem.a.dense.data;
    return;
  }
  qutlass_matmul_problem copy = problem;
  if (rotated_.as<void>()) {
    const qutlass_tensor& a = problem.a.dense;
    copy.a.dense = {rotated_.as<void>(), QUTLASS_F32, 2, {a.shape[0], a.shape[1]}};
    copy.a_rotation = {};
    rotate(stream, a, problem.a_rotation, copy.a.dense);
  }
  source_ = row_source(copy);
  const Layout layout(rows_, parts_, cols_);
  if (layout.factors <= block_bytes && blocks_make(source_, parts_, false)) return;
  made_.emplace(stream.device, layout.bytes);
  MadeRows rows{made_->as<uint8_t>(), cols_ * 2, parts_, cols_, nullptr};
  if (source_.has_row_factors)
    row_factors_ = rows.factors = reinterpret_cast<float*>(rows.data + layout.factors);
  float* found = nullptr;
  if (problem.quantizes_a && has_global_scale(problem.a_format.rule))
    global_scale_ = found = reinterpret_cast<float*>(rows.data + layout.global_scale);
  const Operand& a = source_.a;
  stream.run("matmul", {a.data, a.scales, a.zero_points, a.global_scale, source_.rotation.data, rows.data},
             [&](cudaStream_t) { launch_make_rows(stream, source_, rows, found); });
  data_ = rows.data;
}

bool have_same_a(const qutlass_matmul_problem& one, const qutlass_matmul_problem& other) {
  if (one.a.is_quantized != other.a.is_quantized || one.quantizes_a != other.quantizes_a) return false;
  if (one.a.is_quantized) {
    const qutlass_quantized &a = one.a.quantized, &b = other.a.quantized;
    return a.codes == b.codes && a.scales == b.scales && a.rows == b.rows && a.cols == b.cols;
  }
  const qutlass_tensor &a = one.a.dense, &b = other.a.dense;
  const qutlass_rotation &turn = one.a_rotation, &other_turn = other.a_rotation;
  return a.data == b.data && a.dtype == b.dtype && a.shape[0] == b.shape[0] && a.shape[1] == b.shape[1] &&
         turn.kind == other_turn.kind && turn.size == other_turn.size && turn.data == other_turn.data &&
         (!one.quantizes_a || std::memcmp(&one.a_format, &other.a_format, sizeof(qutlass_format)) == 0);
}

}  // namespace qutlass::cuda
