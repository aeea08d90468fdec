// How a matrix is divided among thread blocks. A block holds one span of elements in registers, eight
// neighbours to a thread and as many chunks of them as the kernel says; 32 threads hold 256 neighbours.
#pragma once

#include <cstdint>

#include "cuda/data/chunk.cuh"

namespace qutlass::cuda {

// The largest blocks; with up to 8 chunks a thread they hold 32768 elements.
inline constexpr int kMostThreads = 512;
inline constexpr int kSquare = 128;

struct Span {
  int64_t base;    // the offset of its first element
  int64_t stride;  // 0: elements follow each other; else from one row of a square of 128 columns to the next
  int64_t part;    // which part of the matrix it belongs to, or which square it is
  int32_t elements;

  // The offset of the chunk at a position in the span, and how many elements it has, from none to kChunk.
  __device__ int64_t offset(int position) const {
    return stride ? base + position / kSquare * stride + position % kSquare : base + position;
  }
  __device__ int count(int position) const { return chunk_count(position, elements); }
};

// Parts of the matrix, one after the other, in spans of `length`; or squares of 128 x 128, each of them a
// span.
struct Spans {
  int64_t parts, part_elements;
  int64_t rows, cols;  // of a matrix in squares, else 0
  int32_t length;      // a multiple of the size of the rotation

  __host__ __device__ int64_t per_part() const { return ceil_div(part_elements, length); }
  __host__ __device__ int64_t count() const {
    return cols ? ceil_div(rows, kSquare) * ceil_div(cols, kSquare) : parts * per_part();
  }
  __device__ Span at(int64_t index) const {
    if (cols) {
      const int64_t across = ceil_div(cols, kSquare), down = quotient(index, across);
      const int64_t row = down * kSquare, col = (index - down * across) * kSquare;
      return {row * cols + col, cols, index,
              static_cast<int32_t>(min(int64_t{kSquare}, rows - row)) * kSquare};
    }
    const int64_t part = quotient(index, per_part()), begin = (index - part * per_part()) * length;
    return {part * part_elements + begin, 0, part,
            static_cast<int32_t>(min(int64_t{length}, part_elements - begin))};
  }
};

// The position in a span of chunk `chunk` of this thread.
__device__ inline int chunk_position(int chunk) {
  return (chunk * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * kChunk;
}

}  // namespace qutlass::cuda
