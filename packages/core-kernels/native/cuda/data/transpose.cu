// Matrix transpose.
#include "check.h"
#include "cuda/operations.h"
#include "cuda_stream.h"
#include "numerics/quantized.h"

namespace qutlass::cuda {
namespace {

// A warp reads and writes 32 neighbours; the tile in between turns rows into columns.
constexpr int kTile = 32, kRowsAtOnce = 8;

// x [rows, cols] -> out [cols, rows].
template <typename T>
__global__ void __launch_bounds__(kTile* kRowsAtOnce)
    transpose_kernel(const T* x, T* out, int64_t rows, int64_t cols, int64_t tiles_across) {
  __shared__ T tile[kTile][kTile + 1];  // one more, so that the elements of a column are in different banks
  const int64_t row = blockIdx.x / tiles_across * kTile, col = blockIdx.x % tiles_across * kTile;
#pragma unroll
  for (int i = threadIdx.y; i < kTile; i += kRowsAtOnce) {
    const int64_t r = row + i, c = col + threadIdx.x;
    if (r < rows && c < cols) tile[i][threadIdx.x] = x[r * cols + c];
  }
  __syncthreads();
#pragma unroll
  for (int i = threadIdx.y; i < kTile; i += kRowsAtOnce) {
    const int64_t c = col + i, r = row + threadIdx.x;
    if (r < rows && c < cols) out[c * rows + r] = tile[threadIdx.x][i];
  }
}

template <typename T>
void launch(cudaStream_t s, Tensor x, Tensor out) {
  const int64_t rows = x.shape[0], cols = x.shape[1], tiles_across = ceil_div(cols, kTile);
  const auto tiles = static_cast<unsigned>(ceil_div(rows, kTile) * tiles_across);
  transpose_kernel<<<tiles, dim3(kTile, kRowsAtOnce), 0, s>>>(
      static_cast<const T*>(x.data), static_cast<T*>(out.data), rows, cols, tiles_across);
}

}  // namespace

void transpose(Stream stream, Tensor x, Tensor out) {
  cuda_stream(stream).run("transpose", {x.data, out.data}, [&](cudaStream_t s) {
    switch (dtype_bytes(x.dtype)) {
      case 1: return launch<uint8_t>(s, x, out);
      case 2: return launch<uint16_t>(s, x, out);
      default: return launch<uint32_t>(s, x, out);
    }
  });
}

}  // namespace qutlass::cuda
