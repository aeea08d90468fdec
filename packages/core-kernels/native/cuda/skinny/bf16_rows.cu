#include "cuda/skinny/bf16_rows.h"

#include <cstring>

#include "check.h"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/gemm/kernels.h"
#include "cuda/gemm/loader.cuh"
#include "cuda/gemm/problem.cuh"
#include "cuda/gemm/quantize_a.cuh"
#include "cuda/operations.h"
#include "launch.h"
#include "reference/matmul_problem.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

struct Rows {
  uint8_t* data;        // [rows * parts, cols] bf16
  float* factors;       // [rows], or null: scales of rows, which stay out of the values
  float* global_scale;  // or null: found on the way
  int cols;             // a multiple of 8

  __device__ uint8_t* at(int row, int parts, int col) const {
    return data + (static_cast<int64_t>(row) * parts * cols + col) * 2;
  }
};

template <int kParts, Kind kKind>
__device__ void split_unit(const Operand& a, const Rows& rows, int row, int col) {
  constexpr int kCount = kUnitElements<kKind> < 8 ? kUnitElements<kKind> : 8;
  const Unit unit = load_unit<bits_of(kKind)>(a, row, col);
#pragma unroll
  for (int first = 0; first < kUnitElements<kKind>; first += kCount) {
    const int begin = col + first;
    if (begin >= rows.cols) return;
    float offset = 0, scale = 1;
    if constexpr (!is_dense(kKind)) {
      const int group = group_at(a, begin);
      scale = decode_scale(a, load_scale_bits(a, row, group));
      if (rows.factors) {
        if (begin == 0) rows.factors[row] = scale;
        scale = 1;
      }
      if constexpr (is_integer(kKind))
        offset = integer_offset<kKind>(a.zero_points ? load_zero_point(a, row, group) : 0);
    }
    float values[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float value = decode<kKind>(unit, first + i, offset);
      values[i] = begin + i >= a.cols ? 0.0f : is_dense(kKind) ? value : value * scale;
    }
    store_bf16<kParts>(values, rows.at(row, kParts, begin), rows.cols * 2);
  }
}

// A thread for every 16 bytes of A: blockIdx.x is a row.
template <int kParts>
__global__ void __launch_bounds__(kThreads)
    split_rows_kernel(const __grid_constant__ Operand a, const __grid_constant__ Rows rows) {
  await_dependency();
  const int unit = static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  with_kind(a.kind, [&](auto kind) {
    constexpr Kind kKind = decltype(kind)::value;
    split_unit<kParts, kKind>(a, rows, static_cast<int>(blockIdx.x), unit * kUnitElements<kKind>);
  });
}

// A dense A to codes and on to what they stand for.
template <int kParts, int kM>
__global__ void __launch_bounds__(kThreads)
    quantize_rows_kernel(const __grid_constant__ Problem problem, const __grid_constant__ Rows rows) {
  await_dependency();
  __shared__ SharedScales<kM, kWarps> scales;
  const AQuantizer<kM, kWarps> quantizer(problem, scales);
  if (blockIdx.x == 0 && threadIdx.x == 0 && rows.global_scale) *rows.global_scale = quantizer.global_scale();
  const int tiles = (problem.k + kTile - 1) / kTile;
  const int tile = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  const int row = tile / tiles, col = tile % tiles * kTile;
  float values[kTile];
  if (rows.factors) {
    quantizer.template values<false>(min(row, kM - 1), col, values);
    if (row < problem.m && col == 0) rows.factors[row] = quantizer.row_scale(row);
  } else {
    quantizer.template values<true>(min(row, kM - 1), col, values);
  }
  if (row >= problem.m) return;
#pragma unroll
  for (int first = 0; first < kTile; first += 8) {
    if (col + first >= rows.cols) return;
    float part[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) part[i] = values[first + i];
    store_bf16<kParts>(part, rows.at(row, kParts, col + first), rows.cols * 2);
  }
}

unsigned blocks_for(int threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

template <int kParts>
void launch_quantize(CudaStream& stream, const Problem& problem, const Rows& rows) {
  const LaunchShape shape{blocks_for(problem.m * ((problem.k + kTile - 1) / kTile)), kThreads};
  if (problem.m == 1) return launch_dependent(stream, quantize_rows_kernel<kParts, 1>, shape, problem, rows);
  launch_dependent(stream, quantize_rows_kernel<kParts, kGemvMaxM>, shape, problem, rows);
}

template <int kParts>
void launch_split(CudaStream& stream, const Operand& a, const Rows& rows) {
  const int elements = 128 / bits_of(a.kind), units = (rows.cols + elements - 1) / elements;
  launch_dependent(stream, split_rows_kernel<kParts>,
                   {dim3(static_cast<unsigned>(a.rows), blocks_for(units)), kThreads}, a, rows);
}

bool is_rotated(const qutlass_matmul_problem& problem) {
  return !problem.a.is_quantized && problem.a_rotation.kind != QUTLASS_ROTATION_IDENTITY;
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

bool bf16_rows_quantize(const qutlass_matmul_problem& problem) {
  return operand_rows(problem.a) <= kGemvMaxM && gemv_quantizes_a(problem);
}

Bf16Rows::Bf16Rows(CudaStream& stream, const qutlass_matmul_problem& problem)
    : problem_(problem),
      rows_(static_cast<int>(operand_rows(problem.a))),
      parts_(parts_of(problem)),
      cols_(static_cast<int>((operand_cols(problem.a) + 7) / 8 * 8)),
      direct_(can_be_read(problem)),
      rotated_(stream.device,
               is_rotated(problem) ? static_cast<size_t>(element_count(problem.a.dense)) * sizeof(float) : 0),
      made_(stream.device, direct_ ? 0 : Layout(rows_, parts_, cols_).bytes),
      data_(direct_ ? problem.a.dense.data : made_.as<void>()),
      global_scale_(problem.a.is_quantized ? problem.a.quantized.global_scale : nullptr),
      row_factors_(nullptr) {
  if (direct_) return;
  qutlass_matmul_problem copy = problem;
  if (is_rotated(problem)) {
    const qutlass_tensor& a = problem.a.dense;
    copy.a.dense = {rotated_.as<void>(), QUTLASS_F32, 2, {a.shape[0], a.shape[1]}};
    rotate(stream, a, problem.a_rotation, copy.a.dense);
  }
  const Layout layout(rows_, parts_, cols_);
  const qutlass_format* format = format_of(problem);
  Rows rows{made_.as<uint8_t>(), nullptr, nullptr, cols_};
  if (format && has_row_factors(*format))
    row_factors_ = rows.factors = reinterpret_cast<float*>(rows.data + layout.factors);
  if (problem.quantizes_a && has_global_scale(format->rule))
    global_scale_ = rows.global_scale = reinterpret_cast<float*>(rows.data + layout.global_scale);
  const Operand a = operand_of(copy.a);
  stream.run("matmul", {a.data, a.scales, a.zero_points, rows.data}, [&](cudaStream_t) {
    if (problem.quantizes_a) {
      const Problem quantized = problem_of(copy);
      parts_ == 1 ? launch_quantize<1>(stream, quantized, rows) : launch_quantize<2>(stream, quantized, rows);
    } else {
      parts_ == 1 ? launch_split<1>(stream, a, rows) : launch_split<2>(stream, a, rows);
    }
  });
}

bool Bf16Rows::are_of(const qutlass_matmul_problem& problem) const {
  const qutlass_operand &mine = problem_.a, &other = problem.a;
  if (mine.is_quantized != other.is_quantized || problem_.quantizes_a != problem.quantizes_a) return false;
  if (mine.is_quantized)
    return mine.quantized.codes == other.quantized.codes && mine.quantized.scales == other.quantized.scales;
  const qutlass_rotation &turn = problem_.a_rotation, &other_turn = problem.a_rotation;
  return mine.dense.data == other.dense.data && mine.dense.dtype == other.dense.dtype &&
         mine.dense.shape[0] == other.dense.shape[0] && mine.dense.shape[1] == other.dense.shape[1] &&
         turn.kind == other_turn.kind && turn.size == other_turn.size && turn.data == other_turn.data &&
         (!problem.quantizes_a ||
          std::memcmp(&problem_.a_format, &problem.a_format, sizeof(qutlass_format)) == 0);
}

}  // namespace qutlass::cuda
