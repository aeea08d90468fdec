// Hadamard rotations of 16 to 256 rows on tensor cores, of tiles in bfloat16 where they lie: what lanes hold
// of them is an operand of a matrix instruction as it is, and the product is tiles again.
//
// An instruction takes the four tiles of 64 elements in four neighbouring lanes for a row of A, and returns
// four tiles of a row of the product. Element k of the row, of which bits 4 and 5 number the lane, bits 2 and
// 3 the step of the sum and bit 1 the register, meets column c, of which bits 4 and 5 number the lane of the
// product and bits 1 to 3 the instruction. The entry (-1)^popcount(k & c) of the Sylvester matrix is then one
// number for each lane, up to a sign that is known when this is compiled. Matrices of 16 and 32 rows stand on
// the diagonal; further levels of larger ones are butterflies between lanes.
#pragma once

#include <cfloat>
#include <cstdint>

#include "cuda/atoms/mma.cuh"
#include "cuda/quantize/sylvester.cuh"
#include "cuda/quantize/tile.cuh"

namespace qutlass::cuda {

// The two neighbours down that a lane has of column 0 of the first step: +-entry, or zeros beside the
// diagonal.
__device__ inline uint32_t sylvester_operand(int size, float entry) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned k = lane & 3, c = lane >> 3;  // bits 4 and 5
  const unsigned counted = static_cast<unsigned>(size - 1) >> 4 & 3;
  if (((k ^ c) & ~counted & 3) != 0) return 0;
  const uint32_t one = __float_as_uint(entry) >> 16;
  const uint32_t both = one | one << 16;
  const uint32_t negative = __popc(k & c & counted) & 1 ? 0x80008000u : 0;
  return both ^ negative ^ (lane & 4 ? 0x80000000u : 0);  // bit 0 of k and of c
}

// x = tiles @ diag(H, ..., H) with the Sylvester matrix of 16, 32 or 64 rows times the entry.
template <int kTiles>
__device__ inline void multiply_sylvester(const TileWords (&words)[kTiles], uint32_t operand,
                                          float (&x)[kTiles][kTile]) {
#pragma unroll
  for (int tile = 0; tile < kTiles; tile += 2) {
    float products[kTile / 2][4] = {};
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      uint32_t a[4] = {};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        // The rows of a second tile, if there is one, are the lower half.
        if (tile + i % 2 < kTiles) a[i] = word_of(words[tile + i % 2], 2 * step + i / 2);
      }
#pragma unroll
      for (int column = 0; column < kTile / 2; ++column) {
        const auto entry = [&](int k1) {
          const int parity = (k1 & column) ^ (step & column >> 1) ^ (step >> 1 & column >> 2);
          return parity & 1 ? operand ^ 0x80008000u : operand;
        };
        const uint32_t b[2] = {entry(0), entry(1)};
        multiply_add(products[column], a, b);
      }
    }
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      x[tile][i] = products[i / 2][i % 2];
      if (tile + 1 < kTiles) x[tile + 1][i] = products[i / 2][2 + i % 2];
    }
  }
}

// The tiles rotated by the Sylvester matrix of up to 256 rows times the entry.
template <int kTiles>
__device__ inline void rotate_tiles(const TileWords (&words)[kTiles], int size, float entry,
                                    float (&x)[kTiles][kTile]) {
  constexpr int kOnTensorCores = 64;
  bool apart = size < kTile;
  if (!apart) {
    multiply_sylvester(words, sylvester_operand(size, entry), x);
    lane_butterflies<kTiles, kTile>(x, kOnTensorCores / kTile, size);
    // Beside the diagonal zeros meet NaN and infinity, which are not to leave their block. They are seen in
    // every element of the row.
    if (size < kOnTensorCores) {
      bool finite = true;
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) finite = finite && fabsf(x[tile][0]) <= FLT_MAX;
      apart = !__all_sync(0xFFFFFFFFu, finite);
    }
  }
  if (apart) {
    unpack_tiles(words, x);
    sylvester_lanes(x, size, entry);
  }
}

}  // namespace qutlass::cuda
