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

// x = tiles @ diag(H, ..., H) of up to two tiles with the Sylvester matrix of 16, 32 or 64 rows times the
// entry, by all lanes of a warp. Beside the diagonal zeros meet NaN and infinity, which are not to leave
// their block: false, and nothing done, if an element of column 0 is not finite, since all of a row are not
// then.
template <int kTiles>
__device__ inline bool multiply_sylvester(const TileWords (&words)[kTiles], int size, float entry,
                                          float (&x)[kTiles][kTile]) {
  constexpr int kSteps = 4, kColumns = kTile / 2;
  const uint32_t operand = sylvester_operand(size, entry);
  // Operands are registers in a row, which compilers copy anew for every instruction where they know them to
  // be copies. So they are told nothing: the lowest bit of the size is 0.
  const uint32_t nothing = size & 1;
  uint32_t a[kSteps][4] = {}, b[4][2];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      // The rows of a second tile, if there is one, are the lower half.
      if (i % 2 < kTiles) a[step][i] = word_of(words[i % 2], 2 * step + i / 2) ^ nothing;
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    b[i][0] = operand ^ (i & 1 ? 0x80008000u : 0);
    b[i][1] = operand ^ (i & 2 ? 0x80008000u : 0);
  }
  float sums[kSteps][kColumns][4];
  const auto add_step = [&](int step, int column) {
    const int parity = ((step & column >> 1) ^ (step >> 1 & column >> 2)) & 1;
    const auto& entries = b[parity | (parity ^ (column & 1)) << 1];
    if (step == 0) {
      const float zeros[4] = {};
      return multiply_add(sums[step][column], a[step], entries, zeros);
    }
    // Columns that differ in what only later steps look at have the same sum so far.
    multiply_add(sums[step][column], a[step], entries, sums[step - 1][column & ((2 << (step - 1)) - 1)]);
  };
#pragma unroll
  for (int step = 0; step < kSteps; ++step) add_step(step, 0);
  // Early, so that what was loaded need not be kept.
  if (size < 64) {
    const float (&first)[4] = sums[kSteps - 1][0];
    if (!__all_sync(0xFFFFFFFFu, fabsf(first[0]) <= FLT_MAX && fabsf(first[2]) <= FLT_MAX)) return false;
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
#pragma unroll
    for (int column = 1; column < min(2 << step, kColumns); ++column) add_step(step, column);
  }
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) x[tile][i] = sums[kSteps - 1][i / 2][2 * tile + i % 2];
  }
  return true;
}

// The tiles rotated by the Sylvester matrix of up to 256 rows times the entry.
template <int kTiles>
__device__ inline void rotate_tiles(const TileWords (&words)[kTiles], int size, float entry,
                                    float (&x)[kTiles][kTile]) {
  if constexpr (kTiles > 2) {
#pragma unroll
    for (int first = 0; first < kTiles; first += 2) {
      TileWords from[2];
      float to[2][kTile];
#pragma unroll
      for (int i = 0; i < 4; ++i) from[i / 2][i % 2] = words[first + i / 2][i % 2];
      rotate_tiles(from, size, entry, to);
#pragma unroll
      for (int i = 0; i < 2 * kTile; ++i) x[first + i / kTile][i % kTile] = to[i / kTile][i % kTile];
    }
  } else if (size >= kTile && multiply_sylvester(words, size, entry, x)) {
    lane_butterflies<kTiles, kTile>(x, 64 / kTile, size);
  } else {
    unpack_tiles(words, x);
    sylvester_lanes(x, size, entry);
  }
}

}  // namespace qutlass::cuda
