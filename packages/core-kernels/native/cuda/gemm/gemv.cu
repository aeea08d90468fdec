// Matrix multiplication with a few rows of A, as in decoding: bound by the reading of B. A warp takes kRows
// rows of B at once, a lane every 32nd unit of them, and A lies in shared memory as float32. Codes of B are
// multiplied before their scale, in float32, over at most 16 elements; lanes add up in a fixed order.
//
// Integer pairs go the same way, exactly: a product of codes less their zero points is below 2^16 and a sum
// of 16 of them below 2^20; beyond, sums are double. A row has one scale of A, which waits for the end, as
// does one of B.
#include <algorithm>
#include <type_traits>

#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/gemm/decode.cuh"
#include "cuda/gemm/kernels.h"
#include "cuda/gemm/problem.cuh"
#include "cuda/gemm/quantize_a.cuh"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kRows = 2;
// The smallest group, of nvfp4.
constexpr int kRun = 16;

// Columns of A in shared memory at a time, and where column k is: lanes are up to 32 columns apart, and a gap
// of 16 bytes after as many puts eight of them in different banks.
template <int kM>
inline constexpr int kChunk = std::min(4096, 8192 / kM);
__device__ constexpr int padded(int k) { return k + k / 32 * 4; }

// What the run of codes from column k on is worth: its scale, and the offset of integers.
struct Run {
  float scale, offset;
};

template <Kind kKind>
__device__ inline Run run_at(const Operand& x, int row, int k) {
  if constexpr (is_dense(kKind)) {
    return {1, 0};
  } else {
    // Rows beyond the end repeat the last one, and are not stored.
    const int group = group_at(x, k), in = min(row, x.rows - 1);
    Run run{decode_scale(x, load_scale_bits(x, in, group)), 0};
    if constexpr (is_integer(kKind))
      run.offset = integer_offset<kKind>(x.zero_points ? load_zero_point(x, in, group) : 0);
    return run;
  }
}

// Kinds that a kernel is compiled for.
template <bool kIntegers, Kind kKind>
inline constexpr bool kTakes = !kIntegers || is_integer(kKind);

// The end of the columns that a chunk has, to whole units of B.
template <int kM>
__device__ inline int chunk_end(int cols, int begin) {
  return min(kChunk<kM>, (cols - begin + 31) / 32 * 32);
}

// The scale of a row that has just one, for after the sums.
__device__ inline double row_scale(const Operand& x, int row) {
  return x.groups > 1 ? 1.0 : static_cast<double>(decode_scale(x, load_scale_bits(x, row, 0)));
}

// A as it is in memory.
template <int kM, bool kIntegers>
class StoredA {
 public:
  struct Shared {};
  __device__ StoredA(const Problem& problem, Shared&) : problem_(problem) {}

  // Columns [begin, begin + kChunk) as float32, zeros beyond its ends to the end of the last unit of B.
  // Integers come without their scale.
  __device__ void load(int begin, float (*shared)[padded(kChunk<kM>)]) const {
    const Operand& a = problem_.a;
    with_kind(a.kind, [&](auto kind) {
      constexpr Kind kKind = decltype(kind)::value;
      if constexpr (!kTakes<kIntegers, kKind>) return;
      constexpr int kElements = kUnitElements<kKind>, kCount = std::min(kElements, kRun);
      const int end = chunk_end<kM>(a.cols, begin);
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        for (int k = static_cast<int>(threadIdx.x) * kElements; k < end; k += kThreads * kElements) {
          const Unit unit = load_unit<bits_of(kKind)>(a, m, begin + k);
#pragma unroll
          for (int first = 0; first < kElements; first += kCount) {
            const Run run = run_at<kKind>(a, m, begin + k + first);
            // Groups are whole runs, but where the only one is the row.
            const auto value = [&](int i) {
              if (!is_dense(kKind) && begin + k + i >= a.cols) return 0.0f;
              const float code = decode<kKind>(unit, i, run.offset);
              return kIntegers ? code : code * run.scale;
            };
#pragma unroll
            for (int i = first; i < first + kCount; i += 4) {
              *reinterpret_cast<float4*>(&shared[m][padded(k + i)]) =
                  make_float4(value(i), value(i + 1), value(i + 2), value(i + 3));
            }
          }
        }
      }
    });
  }
  __device__ double factor() const { return problem_.epilogue.factor(); }
  __device__ double scale_of(int row) const { return row_scale(problem_.a, row); }

 private:
  const Problem& problem_;
};

// A dense A that is quantized on the way.
template <int kM, bool kIntegers>
class QuantizedA {
 public:
  using Shared = SharedScales<kM, kWarps>;
  __device__ QuantizedA(const Problem& problem, Shared& scales)
      : problem_(problem), rows_(problem.a), quantizer_(rows_, problem.a_format, problem.a_codes, scales) {}

  __device__ void load(int begin, float (*shared)[padded(kChunk<kM>)]) const {
    const int end = chunk_end<kM>(problem_.k, begin);
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
#pragma unroll 1
    for (int m = 0; m < kM; ++m) {
#pragma unroll 1
      for (int first = (thread - lane) * kTile; first < end; first += kThreads * kTile) {
        const int k = first + lane * kTile;
        float values[kTile];
        rows_.load(m, begin + k, values);
        quantizer_.quantize(m, begin + k, !kIntegers, values);
        if (k >= end) continue;
#pragma unroll
        for (int i = 0; i < kTile; i += 4) {
          *reinterpret_cast<float4*>(&shared[m][padded(k + i)]) =
              make_float4(values[i], values[i + 1], values[i + 2], values[i + 3]);
        }
      }
    }
  }
  __device__ double factor() const { return problem_.epilogue.factor(quantizer_.global_scale()); }
  __device__ double scale_of(int row) const { return static_cast<double>(quantizer_.row_scale(row)); }

 private:
  const Problem& problem_;
  const DenseRows rows_;
  const AQuantizer<DenseRows, kM, kWarps, Kind::kE2M1, Kind::kE4M3, Kind::kE5M2, Kind::kInt8, Kind::kInt4,
                   Kind::kUint4, Kind::kNf4>
      quantizer_;
};

template <bool kIntegers>
using Sum = std::conditional_t<kIntegers, double, float>;

// Adds the products of the units at column `at` of the chunk, column k of B.
template <Kind kKind, int kM, bool kIntegers>
__device__ inline void add_units(const Operand& b, int row, int k, const Unit (&units)[kRows], int at,
                                 const float (*a)[padded(kChunk<kM>)], Sum<kIntegers> (&sums)[kM][kRows]) {
  constexpr int kElements = kUnitElements<kKind>, kCount = std::min(kElements, kRun);
#pragma unroll
  for (int first = 0; first < kElements; first += kCount) {
    Run runs[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) runs[r] = run_at<kKind>(b, row + r, k + first);
    float products[kM][kRows] = {};
#pragma unroll
    for (int i = first; i < first + kCount; i += 4) {
      float values[kRows][4];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int j = 0; j < 4; ++j) values[r][j] = decode<kKind>(units[r], i + j, runs[r].offset);
      }
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        const float4 x = *reinterpret_cast<const float4*>(&a[m][padded(at + i)]);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          float sum = fmaf(x.x, values[r][0], products[m][r]);
          sum = fmaf(x.y, values[r][1], sum);
          sum = fmaf(x.z, values[r][2], sum);
          products[m][r] = fmaf(x.w, values[r][3], sum);
        }
      }
    }
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if constexpr (kIntegers) {
          const double scale = b.groups > 1 ? static_cast<double>(runs[r].scale) : 1.0;
          sums[m][r] = fma(static_cast<double>(products[m][r]), scale, sums[m][r]);
        } else {
          sums[m][r] = fmaf(products[m][r], runs[r].scale, sums[m][r]);
        }
      }
    }
  }
}

template <template <int, bool> typename A, int kM, bool kIntegers>
__global__ void __launch_bounds__(kThreads, 2) gemv_kernel(const __grid_constant__ Problem problem) {
  __shared__ __align__(16) float a[kM][padded(kChunk<kM>)];
  __shared__ typename A<kM, kIntegers>::Shared shared;
  await_dependency();
  const A<kM, kIntegers> all_of_a(problem, shared);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = (static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32) * kRows;
  Sum<kIntegers> sums[kM][kRows] = {};
  for (int begin = 0; begin < problem.k; begin += kChunk<kM>) {
    __syncthreads();
    all_of_a.load(begin, a);
    __syncthreads();
    const int end = min(kChunk<kM>, problem.k - begin);
    with_kind(problem.b.kind, [&](auto kind) {
      constexpr Kind kKind = decltype(kind)::value;
      if constexpr (!kTakes<kIntegers, kKind>) return;
      constexpr int kElements = kUnitElements<kKind>;
      constexpr int kAhead = kIntegers && kM == kGemvMaxM ? 1 : 2;  // double sums leave few registers
#pragma unroll kAhead
      for (int at = lane * kElements; at < end; at += 32 * kElements) {
        Unit units[kRows];
#pragma unroll
        for (int r = 0; r < kRows; ++r) units[r] = load_unit<bits_of(kKind)>(problem.b, row + r, begin + at);
        add_units<kKind, kM, kIntegers>(problem.b, row, begin + at, units, at, a, sums);
      }
    });
  }
  const double factor = all_of_a.factor();
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      Sum<kIntegers> sum = sums[m][r];
#pragma unroll
      for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, distance);
      if (lane != 0 || m >= problem.m || row + r >= problem.n) continue;
      const double scale = kIntegers ? all_of_a.scale_of(m) * row_scale(problem.b, row + r) : 1.0;
      problem.epilogue.store(m, row + r, factor * scale, static_cast<double>(sum));
    }
  }
}

template <int kM, bool kIntegers>
void launch(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div(problem.n, kWarps * kRows));
  launch_dependent(
      stream, device,
      problem.quantizes_a ? gemv_kernel<QuantizedA, kM, kIntegers> : gemv_kernel<StoredA, kM, kIntegers>,
      {blocks, kThreads}, problem);
}

template <bool kIntegers>
void launch(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream) {
  if (problem.m == 1) return launch<1, kIntegers>(problem, device, stream);
  if (problem.m == 2) return launch<2, kIntegers>(problem, device, stream);
  if (problem.m <= 4) return launch<4, kIntegers>(problem, device, stream);
  launch<kGemvMaxM, kIntegers>(problem, device, stream);
}

}  // namespace

void launch_gemv(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream) {
  launch<false>(problem, device, stream);
}

bool is_quantized_by_blocks(const qutlass_matmul_problem& problem) {
  const qutlass_tensor& a = problem.a.dense;
  const qutlass_format& format = problem.a_format;
  return a.shape[0] <= kGemvMaxM && a.shape[0] * a.shape[1] <= kMostOfBlocks && format.group_rows <= 1 &&
         format.rule != QUTLASS_RULE_MX_QUEST && format.rule != QUTLASS_RULE_NV_FOUR_SIX;
}

bool gemv_quantizes_a(const qutlass_matmul_problem& problem) {
  return is_quantized_by_blocks(problem) && problem.a_rotation.kind == QUTLASS_ROTATION_IDENTITY;
}

bool i32_gemv_quantizes_a(const qutlass_matmul_problem& problem) {
  return gemv_quantizes_a(problem) && problem.a_format.group_cols == 0;
}

void launch_i32_gemv(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream) {
  launch<true>(problem, device, stream);
}

}  // namespace qutlass::cuda
