// What tiles are rounded with stochastically: random numbers from their row and column.
#pragma once

#include <cstdint>

#include "cuda/quantize/tile.cuh"
#include "numerics/stochastic.h"

namespace qutlass::cuda {

// Of a tile: 16 bits for each element, two to a word.
using TileRandom = uint32_t[kTile / 2];

// The random numbers of an operation, the counter counted.
class RandomNumbers {
 public:
  __device__ explicit RandomNumbers(const qutlass_rounding& rounding)
      : seed_(rounding.seed),
        draw_(rounding.draw + (rounding.counter ? static_cast<uint32_t>(*rounding.counter) : 0)) {}

  // Of the tile at a column that is a multiple of kRandomColumns, which lies in one row.
  __device__ void fill(int64_t row, int64_t col, TileRandom& random) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto words = rounding_words(seed_, draw_, row, col + half * kRandomColumns);
#pragma unroll
      for (int i = 0; i < 4; ++i) random[half * 4 + i] = words[i];
    }
  }

  // Of the `count` elements from an offset on in rows of `cols` elements.
  __device__ void fill(int64_t offset, int count, int64_t cols, TileRandom& random) const {
    const int64_t row = quotient(offset, cols), col = offset - row * cols;
    if (col % kRandomColumns == 0 && col + count <= cols) return fill(row, col, random);
#pragma unroll
    for (int i = 0; i < kTile; i += 2) {
      random[i / 2] =
          of_element(seed_, draw_, offset + i, cols) | of_element(seed_, draw_, offset + i + 1, cols) << 16;
    }
  }

 private:
  // Rare, and long.
  __device__ __noinline__ static uint32_t of_element(uint64_t seed, uint32_t draw, int64_t offset,
                                                     int64_t cols) {
    const int64_t row = quotient(offset, cols), col = offset - row * cols;
    const auto words = rounding_words(seed, draw, row, col);
    const int i = static_cast<int>(col % kRandomColumns);
    const uint32_t word = i < 4 ? (i < 2 ? words[0] : words[1]) : (i < 6 ? words[2] : words[3]);
    return word >> (16 * (i % 2)) & 0xFFFFu;
  }

  uint64_t seed_;
  uint32_t draw_;
};

}  // namespace qutlass::cuda
