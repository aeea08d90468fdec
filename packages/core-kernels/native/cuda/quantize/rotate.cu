// Rotation of a dense tensor, and back by a matrix.
#include <algorithm>

#include "check.h"
#include "cuda/model/block_reduce.cuh"
#include "cuda/operations.h"
#include "cuda/quantize/rotate.h"
#include "cuda/quantize/rotation.cuh"
#include "cuda_stream.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256;

template <RotateBy kBy>
__global__ void __launch_bounds__(kMostThreads)
    rotate_kernel(DenseInput x, Rotation rotation, Spans spans, qutlass_tensor out) {
  constexpr int kTiles = kTilesBy<kBy>;
  Rotator<kBy> rotator(rotation);
  for (int64_t index = blockIdx.x; index < spans.count(); index += gridDim.x) {
    const Span span = spans.at(index);
    float values[kTiles][kTile];
    rotator.load(x, span, values);
    if (index + gridDim.x < spans.count()) rotator.prefetch(x, spans.at(index + gridDim.x));
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int half = 0; half < kTile; half += kChunk) {
        const int position = held_position<kTiles, kTile>(tile) + half;
        float chunk[kChunk];
#pragma unroll
        for (int i = 0; i < kChunk; ++i) chunk[i] = values[tile][half + i];
        store_chunk(out.data, out.dtype, span.offset(position), span.count(position, kChunk), chunk);
      }
    }
    if constexpr (!kSeveralSpans<kBy>) break;
  }
}

template <RotateBy kBy>
void launch_rotate(cudaStream_t s, Tensor x, const qutlass_rotation& rotation, Tensor out) {
  constexpr int kHeld = kTilesBy<kBy> * kTile;
  const int threads = kBy == RotateBy::kBlock ? std::max(kThreads, rotation.size / kHeld) : kThreads;
  const Spans spans(1, element_count(x), threads * kHeld);
  const int bytes = rotation_bytes<kBy>(spans.length());
  allow_shared_memory<rotate_kernel<kBy>>(bytes);
  rotate_kernel<kBy><<<span_blocks<kBy>(spans.count(), threads), threads, bytes, s>>>(
      DenseInput{x}, kernel_rotation(rotation), spans, out);
}

// ---- matrices of any size, on the FP32 units: out = x @ H, or x @ H^T / gain, x seen as rows of the
// matrix's size.

constexpr int kSide = 64, kDepth = 16, kPerThread = 4;

struct Product {
  qutlass_tensor x, out;
  const uint16_t* matrix;
  const double* gain;  // null: forward
  int64_t rows;
  int32_t size;
};

// Sums run through K in order with fused multiply-adds of products that float32 holds exactly, as on the CPU.
__global__ void __launch_bounds__(kThreads) product_kernel(Product p, int64_t tiles_across) {
  __shared__ float left[kDepth][kSide + 1], right[kDepth][kSide + 1];
  const int64_t row = blockIdx.x / tiles_across * kSide;
  const int col = static_cast<int>(blockIdx.x % tiles_across) * kSide;
  const int down = threadIdx.x / 16 * kPerThread, across = threadIdx.x % 16 * kPerThread;
  const bool inverse = p.gain != nullptr;
  float sums[kPerThread][kPerThread] = {};
  for (int depth = 0; depth < p.size; depth += kDepth) {
    __syncthreads();
    for (int i = threadIdx.x; i < kSide * kDepth; i += kThreads) {
      const int64_t r = row + i / kDepth;
      const int k = depth + i % kDepth;
      const float value = r < p.rows && k < p.size ? load_dense(p.x.data, p.x.dtype, r * p.size + k) : 0.0f;
      left[i % kDepth][i / kDepth] = inverse ? value : round_to_bf16(value);
    }
    for (int i = threadIdx.x; i < kSide * kDepth; i += kThreads) {
      // Neighbouring threads read neighbours in a row of the matrix.
      const int d = inverse ? i % kDepth : i / kSide, c = inverse ? i / kDepth : i % kSide;
      const int k = depth + d, n = col + c;
      const int64_t at = inverse ? int64_t{n} * p.size + k : int64_t{k} * p.size + n;
      right[d][c] = k < p.size && n < p.size ? bf16_to_f32(p.matrix[at]) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kDepth; ++k) {
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) {
#pragma unroll
        for (int j = 0; j < kPerThread; ++j) {
          sums[i][j] = fmaf(left[k][down + i], right[k][across + j], sums[i][j]);
        }
      }
    }
  }
  const float factor = inverse ? static_cast<float>(1 / *p.gain) : 1.0f;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
#pragma unroll
    for (int j = 0; j < kPerThread; ++j) {
      const int64_t r = row + down + i;
      const int n = col + across + j;
      if (r < p.rows && n < p.size) store_dense(p.out.data, p.out.dtype, r * p.size + n, sums[i][j] * factor);
    }
  }
}

void launch_product(cudaStream_t s, Tensor x, const qutlass_rotation& rotation, const double* gain,
                    Tensor out) {
  const int64_t rows = element_count(x) / rotation.size, tiles_across = ceil_div(rotation.size, kSide);
  const auto tiles = static_cast<unsigned>(ceil_div(rows, kSide) * tiles_across);
  const Product product{x, out, static_cast<const uint16_t*>(rotation.data), gain, rows, rotation.size};
  product_kernel<<<tiles, kThreads, 0, s>>>(product, tiles_across);
}

__global__ void __launch_bounds__(kThreads) gain_kernel(const uint16_t* matrix, int32_t size, double* gain) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < int64_t{size} * size; i += kThreads) {
    const double entry = bf16_to_f32(matrix[i]);
    sum += entry * entry;
  }
  sum = block_reduce(sum, 0.0, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) *gain = sum / size;
}

}  // namespace

void enqueue_rotate(cudaStream_t s, Tensor x, const qutlass_rotation& rotation, Tensor out) {
  if (rotate_by(rotation) == RotateBy::kCopy) return launch_product(s, x, rotation, nullptr, out);
  with_rotation(rotation, [&](auto constant) { launch_rotate<constant()>(s, x, rotation, out); });
}

void enqueue_unrotate_matrix(cudaStream_t s, Tensor y, const qutlass_rotation& rotation, double* gain,
                             Tensor x) {
  gain_kernel<<<1, kThreads, 0, s>>>(static_cast<const uint16_t*>(rotation.data), rotation.size, gain);
  launch_product(s, y, rotation, gain, x);
}

void rotate(Stream stream, Tensor x, const qutlass_rotation& rotation, Tensor out) {
  cuda_stream(stream).run("rotate", {x.data, rotation.data, out.data},
                          [&](cudaStream_t s) { enqueue_rotate(s, x, rotation, out); });
}

}  // namespace qutlass::cuda
