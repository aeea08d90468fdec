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

// The signs that a rotation gives to the elements of a tile before anything else.
class TileSigns {
 public:
  TileSigns() = default;
  // Of the tile at this position. The rotation has signs.
  __device__ TileSigns(const Rotation& rotation, int position) {
    const auto* signs = static_cast<const uint8_t*>(rotation.data);
    const int mask = rotation.size - 1;
    if (rotation.size >= kTile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint64_t eight = load_bytes(signs + (position & mask) + half * kChunk, kChunk);
        fours_[2 * half] = static_cast<uint32_t>(eight);
        fours_[2 * half + 1] = static_cast<uint32_t>(eight >> 32);
      }
    } else {
      // Fewer signs repeat; loading them one by one reads no further than there are.
#pragma unroll
      for (int i = 0; i < kTile; ++i) {
        const uint32_t sign = signs[(position + i) & mask];
        fours_[i / 4] = (i % 4 ? fours_[i / 4] : 0) | sign << (8 * (i % 4));
      }
    }
  }

  // Flips the elements whose sign is negative.
  __device__ void apply(TileWords& words) const {
    // The upper bytes of two elements of 16 bits each.
    const auto flipped = [&](int i) {
      const uint32_t signs = __byte_perm(fours_[i / 2], 0, i % 2 ? 0x3020 : 0x1000);
      return word_of(words, i) ^ (signs & 0x80008000u);
    };
    make_words(flipped, words);
  }

 private:
  uint32_t fours_[4];  // of four elements, a byte each
};

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

// Those between lanes from `first` apart on, for the Sylvester matrix of this size.
template <int kPieces, int kHeld>
__device__ inline void lane_butterflies(float (&x)[kPieces][kHeld], int first, int size) {
  for (int lanes = first; lanes * kHeld < size; lanes *= 2) {
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
    lane_butterflies(x, 1, size);
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
