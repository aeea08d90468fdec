// Rotations of what a thread block holds: Hadamard matrices by butterflies in registers, between lanes and in
// shared memory, in the order of the CPU and so to the same bits; other matrices by tensor cores.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "cuda/atoms/mma.cuh"
#include "cuda/quantize/rotate.h"
#include "cuda/quantize/span.cuh"
#include "error.h"
#include "numerics/hadamard.h"
#include "qutlass.h"

namespace qutlass::cuda {

struct Rotation {
  const void* data;  // as in qutlass_rotation
  int32_t size;
  float entry;  // of a Hadamard matrix
};

inline Rotation kernel_rotation(const qutlass_rotation& rotation) {
  return {rotation.data, rotation.size, hadamard_entry(rotation.size)};
}

// Rows of 16-bit elements in shared memory are 16 bytes longer, which puts eight of them in different banks.
__host__ __device__ constexpr int padded(int size) { return size + 8; }

// Shared memory of a block that holds `length` elements.
inline size_t rotation_bytes(RotateBy by, int32_t size, int32_t length) {
  if (by != RotateBy::kBlock && by != RotateBy::kMatrix) return 0;
  const size_t matrix =
      by == RotateBy::kMatrix ? sizeof(uint16_t) * static_cast<size_t>(size * padded(size)) : 0;
  return matrix + sizeof(float) * static_cast<size_t>(length);
}

// The blocks of a kernel that goes through spans in steps of its grid. One that has a matrix in shared memory
// is better used for several spans.
inline unsigned span_blocks(RotateBy by, int64_t spans) {
  constexpr int64_t kMatrixBlocks = 512;
  return static_cast<unsigned>(by == RotateBy::kMatrix ? std::min(spans, kMatrixBlocks) : spans);
}

// Lets a kernel have more than 48 KB of shared memory.
template <typename Kernel>
void allow_shared_memory(Kernel kernel, size_t bytes) {
  if (bytes <= 48 * 1024) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "reserving shared memory");
}

// x[i] *= factor * sign of the element, of the chunk at a position.
__device__ inline void multiply_signs(const Rotation& rotation, int position, float factor,
                                      float (&x)[kChunk]) {
  const auto* signs = static_cast<const uint8_t*>(rotation.data);
  // Fewer than eight signs repeat; loading them one by one reads no further than there are.
  const int mask = rotation.size - 1, first = position & mask;
  uint64_t bytes = 0;
  if (signs && rotation.size >= kChunk) {
    bytes = load_bytes(signs + first, kChunk);
  } else if (signs) {
    for (int i = 0; i < kChunk; ++i) bytes |= static_cast<uint64_t>(signs[i & mask]) << (8 * i);
  }
#pragma unroll
  for (int i = 0; i < kChunk; ++i) x[i] *= bytes >> (8 * i + 7) & 1 ? -factor : factor;
}

// x = x @ S with the Sylvester matrix S[i, j] = (-1)^popcount(i & j) of up to 256 rows.
template <int kChunks>
__device__ inline void sylvester_lanes(float (&x)[kChunks][kChunk], int size) {
#pragma unroll
  for (int half = 1; half < kChunk; half *= 2) {
    if (half >= size) break;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        if (i & half) continue;
        const float a = x[c][i], b = x[c][i + half];
        x[c][i] = a + b;
        x[c][i + half] = a - b;
      }
    }
  }
  for (int lanes = 1; lanes * kChunk < size; lanes *= 2) {
    const bool upper = threadIdx.x & lanes;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        const float other = __shfl_xor_sync(0xFFFFFFFFu, x[c][i], lanes);
        x[c][i] = other + (upper ? -x[c][i] : x[c][i]);
      }
    }
  }
}

template <int kChunks>
__device__ inline void to_shared(const float (&x)[kChunks][kChunk], float* shared) {
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    auto* to = reinterpret_cast<float4*>(shared + chunk_position(c));
    to[0] = make_float4(x[c][0], x[c][1], x[c][2], x[c][3]);
    to[1] = make_float4(x[c][4], x[c][5], x[c][6], x[c][7]);
  }
}

template <int kChunks>
__device__ inline void from_shared(const float* shared, float (&x)[kChunks][kChunk]) {
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const auto* from = reinterpret_cast<const float4*>(shared + chunk_position(c));
    const float4 low = from[0], high = from[1];
    x[c][0] = low.x, x[c][1] = low.y, x[c][2] = low.z, x[c][3] = low.w;
    x[c][4] = high.x, x[c][5] = high.y, x[c][6] = high.z, x[c][7] = high.w;
  }
}

// The same for more than 256 rows.
template <int kChunks>
__device__ inline void sylvester_block(float (&x)[kChunks][kChunk], int size, float* shared) {
  sylvester_lanes(x, kLanesSize);
  __syncthreads();  // the span before may still be read
  to_shared(x, shared);
  const int pairs = kChunks * kChunk / 2 * static_cast<int>(blockDim.x);
  for (int half = kLanesSize; half < size; half *= 2) {
    __syncthreads();
    for (int pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
      const int low = pair & (half - 1), i = 2 * (pair - low) + low;
      const float a = shared[i], b = shared[i + half];
      shared[i] = a + b;
      shared[i + half] = a - b;
    }
  }
  __syncthreads();
  from_shared(shared, x);
}

// The transpose of the matrix, to shared memory; rows of K are what a matrix instruction reads. The caller
// synchronizes.
__device__ inline void stage_matrix(const Rotation& rotation, uint16_t* transposed) {
  const auto* matrix = static_cast<const uint16_t*>(rotation.data);
  const int size = rotation.size, pitch = padded(size);
  for (int i = threadIdx.x; i < size * size; i += blockDim.x) {
    const int row = i & (size - 1), col = i / size;
    transposed[col * pitch + row] = matrix[row * size + col];
  }
}

// x = x @ H. shared: room for the span in float32, where its bfloat16 operands lie first.
template <int kChunks>
__device__ inline void multiply_matrix(float (&x)[kChunks][kChunk], int size, const uint16_t* transposed,
                                       float* shared) {
  const int pitch = padded(size), lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  auto* operands = reinterpret_cast<uint16_t*>(shared);
  __syncthreads();  // the span before may still be read
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int position = chunk_position(c), row = position / size;
    store_chunk(operands, QUTLASS_BF16, row * pitch + position - row * size, kChunk, x[c]);
  }
  __syncthreads();

  // Tiles of 16 x 8; each takes as much of a warp's registers as half of a chunk.
  constexpr int kTiles = 2 * kChunks;
  const int tiles_across = size / 8, row = lane / 4, col = lane % 4 * 2;
  float sums[kTiles][4] = {};
  const auto word = [](const uint16_t* at) { return *reinterpret_cast<const uint32_t*>(at); };
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    const int tile = warp * kTiles + t;
    const uint16_t* a = operands + (tile / tiles_across * 16 + row) * pitch + col;
    const uint16_t* b = transposed + (tile % tiles_across * 8 + row) * pitch + col;
    for (int k = 0; k < size; k += 16) {
      multiply_add(sums[t],
                   {word(a + k), word(a + 8 * pitch + k), word(a + k + 8), word(a + 8 * pitch + k + 8)},
                   {word(b + k), word(b + k + 8)});
    }
  }
  __syncthreads();
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    const int tile = warp * kTiles + t;
    float* to = shared + (tile / tiles_across * 16 + row) * size + tile % tiles_across * 8 + col;
    *reinterpret_cast<float2*>(to) = make_float2(sums[t][0], sums[t][1]);
    *reinterpret_cast<float2*>(to + 8 * size) = make_float2(sums[t][2], sums[t][3]);
  }
  __syncthreads();
  from_shared(shared, x);
}

// The shared memory of a kernel, a matrix before the span.
struct RotationMemory {
  uint16_t* matrix;
  float* span;
};

// At the start of a kernel, by all threads.
template <RotateBy kBy>
__device__ inline RotationMemory prepare_rotation(const Rotation& rotation, void* shared) {
  if constexpr (kBy != RotateBy::kMatrix) return {nullptr, static_cast<float*>(shared)};
  auto* matrix = static_cast<uint16_t*>(shared);
  stage_matrix(rotation, matrix);
  return {matrix, reinterpret_cast<float*>(matrix + rotation.size * padded(rotation.size))};
}

// The elements of a span as float32, rotated; zeros beyond its end. A span starts at a multiple of the
// rotation's size.
template <RotateBy kBy, int kChunks>
__device__ inline void load_rotated(const void* data, int32_t dtype, const Span& span,
                                    const Rotation& rotation, const RotationMemory& memory,
                                    float (&x)[kChunks][kChunk]) {
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int position = chunk_position(c);
    load_chunk(data, dtype, span.offset(position), span.count(position), x[c]);
  }
  if constexpr (kBy == RotateBy::kLanes || kBy == RotateBy::kBlock) {
    // Multiplying by the entry before adding keeps to the definition, sums of products of bfloat16 numbers
    // (each exact in float32), and sums no more than the result holds, so nothing overflows on the way.
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) x[c][i] = dtype == QUTLASS_BF16 ? x[c][i] : round_to_bf16(x[c][i]);
      multiply_signs(rotation, chunk_position(c), rotation.entry, x[c]);
    }
  }
  if constexpr (kBy == RotateBy::kLanes) sylvester_lanes(x, rotation.size);
  if constexpr (kBy == RotateBy::kBlock) sylvester_block(x, rotation.size, memory.span);
  if constexpr (kBy == RotateBy::kMatrix) multiply_matrix(x, rotation.size, memory.matrix, memory.span);
}

}  // namespace qutlass::cuda
