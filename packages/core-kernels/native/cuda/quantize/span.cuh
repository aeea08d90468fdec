// How a matrix is divided among thread blocks. A block holds one span of elements in registers: a warp holds
// neighbours, in pieces of 32 * kHeld of them, and a lane kHeld neighbours of each piece.
#pragma once

#include <cstdint>

#include "cuda/data/chunk.cuh"

namespace qutlass::cuda {

// What a lane of the quantizers holds of a piece: 32 bytes of bfloat16, and whole groups of NVFP4.
inline constexpr int kTile = 2 * kChunk;
// The largest blocks; with 4 tiles a thread they hold 32768 elements.
inline constexpr int kMostThreads = 512;
inline constexpr int kSquare = 128;

// Elements that follow each other.
struct Span {
  int64_t base;  // the offset of the first element
  int64_t part;  // which part of the matrix they belong to
  int32_t elements;

  // The offset of the elements at a position in the span, and how many of `most` there are.
  __device__ int64_t offset(int position) const { return base + position; }
  __device__ int count(int position, int most) const { return max(0, min(most, elements - position)); }
  // Whether there is the element at a position, and as many from there on.
  __device__ bool has(int position) const { return position < elements; }
  __device__ bool has(int position, int length) const { return position + length <= elements; }
  // Whether there are the first so many.
  __device__ bool has_all(int count) const { return count <= elements; }
};

// Parts of the matrix, one after the other, in spans of `length`.
class Spans {
 public:
  using Item = Span;

  // length: a multiple of the size of the rotation
  Spans(int64_t parts, int64_t part_elements, int32_t length)
      : part_elements_(part_elements),
        per_part_(ceil_div(part_elements, length)),
        count_(parts * per_part_),
        length_(length),
        is_one_part_(parts == 1),
        is_one_span_(per_part_ == 1) {}

  __host__ __device__ int64_t count() const { return count_; }
  __host__ __device__ int64_t per_part() const { return per_part_; }
  int32_t length() const { return length_; }

  __device__ Span at(int64_t index) const {
    // The usual ways apart: there is little to compute then.
    if (is_one_part_) return within(0, index);
    if (is_one_span_) return within(index, 0);
    const int64_t part = quotient(index, per_part_);
    return within(part, index - part * per_part_);
  }

 private:
  // The part, and which of its spans.
  __device__ Span within(int64_t part, int64_t index) const {
    const int64_t begin = index * length_;
    return {part * part_elements_ + begin, part,
            static_cast<int32_t>(min(int64_t{length_}, part_elements_ - begin))};
  }

  int64_t part_elements_, per_part_, count_;
  int32_t length_;
  bool is_one_part_, is_one_span_;
};

// A square of 128 columns of a matrix, row by row; each is a part.
struct Square {
  int64_t base, stride, part;
  int32_t elements;

  __device__ int64_t offset(int position) const {
    const auto at = static_cast<uint32_t>(position);
    return base + at / kSquare * stride + at % kSquare;
  }
  __device__ int count(int position, int most) const { return max(0, min(most, elements - position)); }
  __device__ bool has(int position) const { return position < elements; }
  __device__ bool has(int position, int length) const { return position + length <= elements; }
  // Whether there are the first so many.
  __device__ bool has_all(int count) const { return count <= elements; }
};

class Squares {
 public:
  using Item = Square;

  Squares(int64_t rows, int64_t cols)
      : rows_(rows),
        cols_(cols),
        across_(ceil_div(cols, kSquare)),
        count_(ceil_div(rows, kSquare) * across_) {}

  __host__ __device__ int64_t count() const { return count_; }
  __host__ __device__ int64_t per_part() const { return 1; }
  int32_t length() const { return kSquare * kSquare; }

  __device__ Square at(int64_t index) const {
    const int64_t down = quotient(index, across_);
    const int64_t row = down * kSquare, col = (index - down * across_) * kSquare;
    return {row * cols_ + col, cols_, index,
            static_cast<int32_t>(min(int64_t{kSquare}, rows_ - row)) * kSquare};
  }

 private:
  int64_t rows_, cols_, across_, count_;
};

// The position in a span of piece `piece` of this thread, of kPieces.
template <int kPieces, int kHeld>
__device__ inline int held_position(int piece) {
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  return static_cast<int>(((warp * kPieces + piece) * 32 + lane) * kHeld);
}

}  // namespace qutlass::cuda
