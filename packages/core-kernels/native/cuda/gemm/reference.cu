// The definition of matrix multiplication on the GPU: one thread per output adds the products of dequantized
// elements in double, in the order of k, as reference/matmul.cc does.
#include "cuda/gemm/decode.cuh"
#include "cuda/gemm/kernels.h"
#include "cuda/gemm/problem.cuh"

namespace qutlass::cuda {
namespace {

// Element k of a row as the first of a unit.
template <int kBits>
__device__ Unit load_element(const Operand& x, int row, int k) {
  const uint8_t* data = x.data + row * x.row_bytes;
  if constexpr (kBits == 32) return {{reinterpret_cast<const uint32_t*>(data)[k]}};
  if constexpr (kBits == 16) return {{reinterpret_cast<const uint16_t*>(data)[k]}};
  if constexpr (kBits == 8) return {{data[k]}};
  return {{static_cast<uint32_t>(data[k / 2]) >> (k % 2 * 4)}};
}

// Element (row, k) before the division by the global scale, exactly: a code less its zero point has at most 8
// significant bits, a value of nf4 and a scale 24.
__device__ double element(const Operand& x, int row, int k) {
  const int group = group_at(x, k);
  const int zero_point = x.zero_points ? load_zero_point(x, row, group) : 0;
  double value = 0;
  with_kind(x.kind, [&](auto kind) {
    constexpr Kind kKind = decltype(kind)::value;
    const Unit unit = load_element<bits_of(kKind)>(x, row, k);
    value = static_cast<double>(decode<kKind>(unit, 0, integer_offset<kKind>(zero_point)));
  });
  return x.scales ? value * static_cast<double>(decode_scale(x, load_scale_bits(x, row, group))) : value;
}

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) reference_kernel(const __grid_constant__ Problem problem) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<int64_t>(problem.m) * problem.n) return;
  const int m = static_cast<int>(i / problem.n), n = static_cast<int>(i % problem.n);
  double sum = 0;
  for (int k = 0; k < problem.k; ++k) sum += element(problem.a, m, k) * element(problem.b, n, k);
  problem.epilogue.store(m, n, problem.epilogue.factor(), sum);
}

}  // namespace

void launch_reference(const Problem& problem, const cudaDeviceProp&, cudaStream_t stream) {
  const int64_t blocks = ceil_div(static_cast<int64_t>(problem.m) * problem.n, kThreads);
  reference_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(problem);
}

}  // namespace qutlass::cuda
