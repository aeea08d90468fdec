// Matrix multiplication with a few rows of A, as in decoding: bound by the reading of B. A warp takes kRows
// rows of B at once, a lane every 32nd unit of them, and A lies in shared memory as float32. Codes are
// multiplied before their scale, in float32, over at most 16 elements; lanes add up in a fixed order.
#include <algorithm>

#include "cuda/gemm/decode.cuh"
#include "cuda/gemm/kernels.h"
#include "cuda/gemm/problem.cuh"

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

// Columns [begin, begin + kChunk) of A as float32, zeros beyond its ends to the end of the last unit of B.
template <int kM>
__device__ void load_a(const Operand& a, int begin, float (*shared)[padded(kChunk<kM>)]) {
  with_kind(a.kind, [&](auto kind) {
    constexpr Kind kKind = decltype(kind)::value;
    if constexpr (is_dense(kKind)) {
      constexpr int kElements = kUnitElements<kKind>;
      const int end = min(kChunk<kM>, (a.cols - begin + 31) / 32 * 32);
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        for (int k = static_cast<int>(threadIdx.x) * kElements; k < end; k += kThreads * kElements) {
          const Unit unit = load_unit<bits_of(kKind)>(a, m, begin + k);
#pragma unroll
          for (int i = 0; i < kElements; i += 4) {
            *reinterpret_cast<float4*>(&shared[m][padded(k + i)]) =
                make_float4(decode<kKind>(unit, i, 0), decode<kKind>(unit, i + 1, 0),
                            decode<kKind>(unit, i + 2, 0), decode<kKind>(unit, i + 3, 0));
          }
        }
      }
    }
  });
}

// Adds the products of the units at column `at` of the chunk, column k of B.
template <Kind kKind, int kM>
__device__ inline void add_units(const Operand& b, int row, int k, const Unit (&units)[kRows], int at,
                                 const float (*a)[padded(kChunk<kM>)], float (&sums)[kM][kRows]) {
  constexpr int kElements = kUnitElements<kKind>, kCount = std::min(kElements, kRun);
#pragma unroll
  for (int first = 0; first < kElements; first += kCount) {
    float scales[kRows], offsets[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      scales[r] = 1;
      offsets[r] = 0;
      if constexpr (!is_dense(kKind)) {
        // Rows beyond the end repeat the last one, and are not stored.
        const int group = group_at(b, k + first), in = min(row + r, b.rows - 1);
        scales[r] = decode_scale(b, load_scale_bits(b, in, group));
        if constexpr (is_integer(kKind))
          offsets[r] = integer_offset<kKind>(b.zero_points ? load_zero_point(b, in, group) : 0);
      }
    }
    float run[kM][kRows] = {};
#pragma unroll
    for (int i = first; i < first + kCount; i += 4) {
      float values[kRows][4];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int j = 0; j < 4; ++j) values[r][j] = decode<kKind>(units[r], i + j, offsets[r]);
      }
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        const float4 x = *reinterpret_cast<const float4*>(&a[m][padded(at + i)]);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          float sum = fmaf(x.x, values[r][0], run[m][r]);
          sum = fmaf(x.y, values[r][1], sum);
          sum = fmaf(x.z, values[r][2], sum);
          run[m][r] = fmaf(x.w, values[r][3], sum);
        }
      }
    }
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) sums[m][r] = fmaf(run[m][r], scales[r], sums[m][r]);
    }
  }
}

template <int kM>
__global__ void __launch_bounds__(kThreads, 2) gemv_kernel(const __grid_constant__ Problem problem) {
  __shared__ __align__(16) float a[kM][padded(kChunk<kM>)];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = (static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32) * kRows;
  float sums[kM][kRows] = {};
  with_kind(problem.b.kind, [&](auto kind) {
    constexpr Kind kKind = decltype(kind)::value;
    constexpr int kElements = kUnitElements<kKind>;
    for (int begin = 0; begin < problem.k; begin += kChunk<kM>) {
      __syncthreads();
      load_a<kM>(problem.a, begin, a);
      __syncthreads();
      const int end = min(kChunk<kM>, problem.k - begin);
#pragma unroll 2
      for (int at = lane * kElements; at < end; at += 32 * kElements) {
        Unit units[kRows];
#pragma unroll
        for (int r = 0; r < kRows; ++r) units[r] = load_unit<bits_of(kKind)>(problem.b, row + r, begin + at);
        add_units<kKind, kM>(problem.b, row, begin + at, units, at, a, sums);
      }
    }
  });
  const double factor = problem.epilogue.factor();
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float sum = sums[m][r];
#pragma unroll
      for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, distance);
      if (lane == 0 && m < problem.m && row + r < problem.n) {
        problem.epilogue.store(m, row + r, factor, static_cast<double>(sum));
      }
    }
  }
}

template <int kM>
void launch(const Problem& problem, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div(problem.n, kWarps * kRows));
  gemv_kernel<kM><<<blocks, kThreads, 0, stream>>>(problem);
}

}  // namespace

void launch_gemv(const Problem& problem, const cudaDeviceProp&, cudaStream_t stream) {
  if (problem.m == 1) return launch<1>(problem, stream);
  if (problem.m == 2) return launch<2>(problem, stream);
  if (problem.m <= 4) return launch<4>(problem, stream);
  launch<kGemvMaxM>(problem, stream);
}

}  // namespace qutlass::cuda
