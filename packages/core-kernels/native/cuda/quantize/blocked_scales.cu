// Scales of a byte in the 128x4 blocked layout that block-scaled tensor cores read.
#include "cuda/data/chunk.cuh"
#include "cuda/operations.h"
#include "cuda_stream.h"
#include "numerics/quantized.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256;

// Four neighbouring scales of a row to each thread, in the order of the blocked layout.
struct Quad {
  int64_t row, col;

  __device__ Quad(int64_t index, int64_t cols) {
    const int64_t blocks_across = ceil_div(cols, 4), block = quotient(index, 128);
    const int within = static_cast<int>(index % 128);
    const int64_t down = quotient(block, blocks_across);
    row = down * 128 + within % 4 * 32 + within / 4;
    col = (block - down * blocks_across) * 4;
  }
};

__global__ void __launch_bounds__(kThreads)
    to_blocked_kernel(const uint8_t* scales, int64_t rows, int64_t cols, uint8_t* out, int64_t end) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= end) return;
  const Quad quad(index, cols);
  const int count = quad.row < rows ? static_cast<int>(min(int64_t{4}, cols - quad.col)) : 0;
  const uint64_t bytes = count ? load_bytes(scales + quad.row * cols + quad.col, count) : 0;
  store_bytes(out + index * 4, 4, bytes);
}

__global__ void __launch_bounds__(kThreads)
    from_blocked_kernel(const uint8_t* blocked, int64_t rows, int64_t cols, uint8_t* out, int64_t end) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= end) return;
  const Quad quad(index, cols);
  if (quad.row >= rows) return;
  store_bytes(out + quad.row * cols + quad.col, static_cast<int>(min(int64_t{4}, cols - quad.col)),
              load_bytes(blocked + index * 4, 4));
}

// kernel(.., quads) with a thread for each quad of scales [rows, cols], the padding among them.
template <typename Kernel>
void launch(Stream stream, const char* operation, Kernel kernel, Tensor from, Tensor to, int64_t rows,
            int64_t cols) {
  const int64_t quads = blocked_bytes(rows, cols) / 4;
  cuda_stream(stream).run(operation, {from.data, to.data}, [&](cudaStream_t s) {
    kernel<<<static_cast<unsigned>(ceil_div(quads, kThreads)), kThreads, 0, s>>>(
        static_cast<const uint8_t*>(from.data), rows, cols, static_cast<uint8_t*>(to.data), quads);
  });
}

}  // namespace

void scales_to_blocked(Stream stream, Tensor scales, Tensor out) {
  launch(stream, "scales_to_blocked", to_blocked_kernel, scales, out, scales.shape[0], scales.shape[1]);
}

void scales_from_blocked(Stream stream, Tensor blocked, Tensor out) {
  launch(stream, "scales_from_blocked", from_blocked_kernel, blocked, out, out.shape[0], out.shape[1]);
}

}  // namespace qutlass::cuda
