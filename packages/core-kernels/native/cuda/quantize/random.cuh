// What tiles are rounded with stochastically: random numbers from their row and column.
#pragma once

#include <cstdint>

#include "cuda/quantize/tile.cuh"
#include "numerics/stochastic.h"

namespace qutlass::cuda {

// Of a tile: 16 bits for each element, two to a word.
using TileRandom = uint32_t[kTile / 2];

// What kernels need of a rounding, computed by the host.
struct RandomSource {
  PhiloxKeys keys;
  uint32_t draw;
  const int32_t* counter;

  explicit RandomSource(const qutlass_rounding& rounding)
      : keys(rounding.seed), draw(rounding.draw), counter(rounding.counter) {}
};

// The random numbers of an operation, the counter counted.
class RandomNumbers {
 public:
  // source: a parameter of the kernel
  __device__ explicit RandomNumbers(const RandomSource& source)
      : keys_(source.keys),
        draw_(source.draw + (source.counter ? static_cast<uint32_t>(*source.counter) : 0)) {}

  // Of the tile at a column that is a multiple of kRandomColumns, which lies in one row.
  __device__ void fill(int64_t row, int64_t col, TileRandom& random) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto words = keys_.draw(rounding_counter(draw_, row, col + half * kRandomColumns));
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
          of_element(keys_, draw_, offset + i, cols) | of_element(keys_, draw_, offset + i + 1, cols) << 16;
    }
  }

 private:
  // Rare, and long.
  __device__ __noinline__ static uint32_t of_element(const PhiloxKeys& keys, uint32_t draw, int64_t offset,
                                                     int64_t cols) {
    const int64_t row = quotient(offset, cols), col = offset - row * cols;
    const auto words = keys.draw(rounding_counter(draw, row, col));
    const int i = static_cast<int>(col % kRandomColumns);
    const uint32_t word = i < 4 ? (i < 2 ? words[0] : words[1]) : (i < 6 ? words[2] : words[3]);
    return word >> (16 * (i % 2)) & 0xFFFFu;
  }

  const PhiloxKeys& keys_;
  uint32_t draw_;
};

}  // namespace qutlass::cuda
