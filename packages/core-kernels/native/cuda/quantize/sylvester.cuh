// Hadamard rotations of what a thread block holds: butterflies in registers, between lanes and in shared
// memory, in the order of the CPU and so to the same bits.
#pragma once

#include <cstdint>

#include "cuda/quantize/rotate.h"
#include "cuda/quantize/tile.cuh"

namespace qutlass::cuda {

struct Rotation {
  const void* data;  // as in qutlass_rotation
  int32_t size;
  float entry;  // of a Hadamard matrix
};

// The signs of the elements of the tile at a position.
__device__ inline TileSigns tile_signs(const Rotation& rotation, int position) {
  const auto* signs = static_cast<const uint8_t*>(rotation.data);
  if (!signs) return {0};
  const int mask = rotation.size - 1;
  uint32_t negative = 0;
  if (rotation.size >= kTile) {
    const uint64_t halves[2] = {load_bytes(signs + (position & mask), kChunk),
                                load_bytes(signs + (position & mask) + kChunk, kChunk)};
#pragma unroll
    for (int i = 0; i < kTile; ++i)
      negative |= static_cast<uint32_t>(halves[i / kChunk] >> (8 * (i % kChunk) + 7) & 1) << i;
  } else {
    for (int i = 0; i < kTile; ++i) negative |= static_cast<uint32_t>(signs[(position + i) & mask] >> 7) << i;
  }
  return TileSigns::of(negative);
}

// x[i] *= factor * sign of the element, of the chunk at a position.
__device__ inline void multiply_signs(const Rotation& rotation, int position, float factor, float* x) {
  const auto* signs = static_cast<const uint8_t*>(rotation.data);
  if (!signs) {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) x[i] *= factor;
    return;
  }
  // Fewer than eight signs repeat; loading them one by one reads no further than there are.
  const int mask = rotation.size - 1, first = position & mask;
  uint64_t bytes = 0;
  if (rotation.size >= kChunk) {
    bytes = load_bytes(signs + first, kChunk);
  } else {
    for (int i = 0; i < kChunk; ++i) bytes |= static_cast<uint64_t>(signs[i & mask]) << (8 * i);
  }
  const uint32_t words[2] = {static_cast<uint32_t>(bytes), static_cast<uint32_t>(bytes >> 32)};
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const uint32_t sign = words[i / 4] << (24 - 8 * (i % 4)) & 0x80000000u;
    x[i] *= __uint_as_float(__float_as_uint(factor) ^ sign);
  }
}

// The butterflies between elements `half` apart.
template <int kPieces, int kHeld>
__device__ inline void butterflies(float (&x)[kPieces][kHeld], int half) {
#pragma unroll
  for (int c = 0; c < kPieces; ++c) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (i & half) continue;
      const float a = x[c][i], b = x[c][i + half];
      x[c][i] = a + b;
      x[c][i + half] = a - b;
    }
  }
}

// Those between neighbours, of elements times a factor. The products are exact, so a sum takes one of them
// without a rounding of its own.
template <int kPieces, int kHeld>
__device__ inline void scaled_butterflies(float (&x)[kPieces][kHeld], float factor) {
#pragma unroll
  for (int c = 0; c < kPieces; ++c) {
#pragma unroll
    for (int i = 0; i < kHeld; i += 2) {
      const float a = x[c][i], b = x[c][i + 1] * factor;
      x[c][i] = fmaf(a, factor, b);
      x[c][i + 1] = fmaf(a, factor, -b);
    }
  }
}

// Those between lanes, for the Sylvester matrix of this size.
template <int kPieces, int kHeld>
__device__ inline void lane_butterflies(float (&x)[kPieces][kHeld], int size) {
  for (int lanes = 1; lanes * kHeld < size; lanes *= 2) {
    // b - a is b + a * -1, whose product is exact.
    const float sign = threadIdx.x & lanes ? -1.0f : 1.0f;
#pragma unroll
    for (int c = 0; c < kPieces; ++c) {
#pragma unroll
      for (int i = 0; i < kHeld; ++i)
        x[c][i] = fmaf(x[c][i], sign, __shfl_xor_sync(0xFFFFFFFFu, x[c][i], lanes));
    }
  }
}

// x = x @ S * factor with the Sylvester matrix S[i, j] = (-1)^popcount(i & j) of up to 32 * kHeld rows. The
// products with the factor are exact.
template <int kPieces, int kHeld>
__device__ inline void sylvester_lanes(float (&x)[kPieces][kHeld], int size, float factor) {
  scaled_butterflies(x, factor);
  // No way past the butterflies in registers: where ways meet, registers are copied.
  if (size >= kHeld) {
#pragma unroll
    for (int half = 2; half < kHeld; half *= 2) butterflies(x, half);
    lane_butterflies(x, size);
  } else {
#pragma unroll
    for (int half = 2; half < kHeld; half *= 2) {
      if (half < size) butterflies(x, half);
    }
  }
}

template <int kPieces, int kHeld>
__device__ inline void to_shared(const float (&x)[kPieces][kHeld], float* shared) {
#pragma unroll
  for (int c = 0; c < kPieces; ++c) {
    auto* to = reinterpret_cast<float4*>(shared + held_position<kPieces, kHeld>(c));
#pragma unroll
    for (int i = 0; i < kHeld / 4; ++i)
      to[i] = make_float4(x[c][4 * i], x[c][4 * i + 1], x[c][4 * i + 2], x[c][4 * i + 3]);
  }
}

template <int kPieces, int kHeld>
__device__ inline void from_shared(const float* shared, float (&x)[kPieces][kHeld]) {
#pragma unroll
  for (int c = 0; c < kPieces; ++c) {
    const auto* from = reinterpret_cast<const float4*>(shared + held_position<kPieces, kHeld>(c));
#pragma unroll
    for (int i = 0; i < kHeld / 4; ++i) {
      const float4 four = from[i];
      x[c][4 * i] = four.x, x[c][4 * i + 1] = four.y, x[c][4 * i + 2] = four.z, x[c][4 * i + 3] = four.w;
    }
  }
}

// The same for more than kLanesSize rows.
template <int kPieces, int kHeld>
__device__ inline void sylvester_block(float (&x)[kPieces][kHeld], int size, float factor, float* shared) {
  sylvester_lanes(x, kLanesSize, factor);
  __syncthreads();  // the span before may still be read
  to_shared(x, shared);
  const int pairs = kPieces * kHeld / 2 * static_cast<int>(blockDim.x);
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

}  // namespace qutlass::cuda
