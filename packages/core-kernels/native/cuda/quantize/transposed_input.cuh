// A transpose that is never written, as the input of quantizers. A block brings a window of the matrix into
// shared memory as it lies there, in bfloat16, and lanes read sixteen neighbours of a column as they read
// sixteen of a row elsewhere: a matrix instruction transposes squares of 8 x 8 on the way to registers, and
// which rows of the window make up a square is free.
#pragma once

#include <cstdint>

#include "cuda/atoms/async_copy.cuh"
#include "cuda/atoms/mma.cuh"
#include "cuda/quantize/dequantize.cuh"
#include "cuda/quantize/quantize.cuh"

namespace qutlass::cuda {

// A window on the transpose, of kSquare columns and up to kRows rows: those of kSquare rows of the matrix.
// Eight rows are in the order in which lanes get them: 0, 2, 4, 6, 1, 3, 5, 7.
template <int kRows>
struct Strip {
  int64_t base, stride, part;
  int64_t row, col;  // of the first element in the transpose
  int32_t height, width;

  static constexpr int kLength = kRows * kSquare;

  __device__ static int row_of(int position) {
    const int slot = position / kSquare;
    return (slot & ~7) | (slot & 3) << 1 | (slot >> 2 & 1);
  }
  __device__ int64_t offset(int position) const {
    return base + row_of(position) * stride + position % kSquare;
  }
  __device__ bool has(int position) const { return row_of(position) < height && position % kSquare < width; }
  __device__ int count(int position, int most) const { return has(position) ? most : 0; }
  __device__ bool has_all(int) const { return height == kRows && width == kSquare; }
};

template <int kRows>
class Strips {
 public:
  using Item = Strip<kRows>;

  // Of the transpose.
  Strips(int64_t rows, int64_t cols)
      : rows_(rows), cols_(cols), across_(ceil_div(cols, kSquare)), count_(ceil_div(rows, kRows) * across_) {}

  __host__ __device__ int64_t count() const { return count_; }
  __host__ __device__ int64_t per_part() const { return 1; }
  int32_t length() const { return Item::kLength; }

  __device__ Item at(int64_t index) const {
    const int64_t down = quotient(index, across_);
    const int64_t row = down * kRows, col = (index - down * across_) * kSquare;
    return {row * cols_ + col,
            cols_,
            index,
            row,
            col,
            static_cast<int32_t>(min(int64_t{kRows}, rows_ - row)),
            static_cast<int32_t>(min(int64_t{kSquare}, cols_ - col))};
  }

 private:
  int64_t rows_, cols_, across_, count_;
};

// What is transposed. A source has
//   prepare(): by all threads of a block, which then synchronize
//   stage(row, col, count, to): `count` elements of a row, at most kChunk, in bfloat16 and zeros after them,
//     to shared memory; may end later, in the group of copies that the caller ends
//   kAtOnce: calls of stage that are worth their code

// A matrix in bfloat16.
struct DenseSource {
  static constexpr int kAtOnce = 8;
  qutlass_tensor x;

  __device__ void prepare() const {}
  __device__ void stage(int64_t row, int64_t col, int count, uint4* to) const {
    const auto* from = static_cast<const uint16_t*>(x.data) + row * x.shape[1] + col;
    if (count == kChunk && is_aligned<16>(from)) return copy_async<16>(to, from);
    const auto word = [&](int i) {
      const auto half = [&](int at) { return at < count ? uint32_t{from[at]} : 0; };
      return half(2 * i) | half(2 * i + 1) << 16;
    };
    *to = make_uint4(word(0), word(1), word(2), word(3));
  }
};

// The values of a quantized matrix, rounded once.
struct QuantizedSource {
  static constexpr int kAtOnce = 2;
  qutlass_quantized q;

  __device__ void prepare() const { fill_table(q.format.element, table()); }
  __device__ void stage(int64_t row, int64_t col, int count, uint4* to) const {
    float values[kChunk] = {};
    if (count) dequantize_chunk(q, table(), row * q.cols + col, count, true, values);
    const auto word = [&](int i) { return round_pair(values[2 * i], values[2 * i + 1]); };
    *to = make_uint4(word(0), word(1), word(2), word(3));
  }

 private:
  __device__ static float* table() {
    __shared__ float values[256];
    return values;
  }
};

// The tiles of two windows of 64 columns, of rows that are l / 4 in lane l, as those of one window of 128
// columns: lanes that differ in bit 2 exchange a tile.
__device__ inline void join_tiles(const TileWords& left, const TileWords& right, TileWords& even,
                                  TileWords& odd) {
  constexpr int kDistance = 4;
  const bool upper = threadIdx.x & kDistance;
  uint32_t first[8], second[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const uint32_t mine_left = word_of(left, i), mine_right = word_of(right, i);
    const uint32_t other = __shfl_xor_sync(0xFFFFFFFFu, upper ? mine_left : mine_right, kDistance);
    first[i] = upper ? other : mine_left;
    second[i] = upper ? mine_right : other;
  }
  make_words([&](int i) { return first[i]; }, even);
  make_words([&](int i) { return second[i]; }, odd);
}

// The index of the thread, read anew wherever this stands: what follows from one that the compiler knows
// would stay in registers from window to window.
__device__ inline int thread_again() {
  int index;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
  return index;
}

template <typename Source>
struct TransposedInput {
  static constexpr int kMostTiles = 4;
  static constexpr bool kStaged = true;
  Source source;

  // buffer: room for the window
  template <int kTiles, int kRows>
  __device__ void load_words(uint16_t* buffer, const Strip<kRows>& strip, TileWords (&words)[kTiles]) const {
    static_assert(kTiles % 2 == 0);
    constexpr int kAcross = kRows / kChunk, kThreads = Strip<kRows>::kLength / (kTiles * kTile);
    auto* const window = reinterpret_cast<uint4*>(buffer);
    const int thread = thread_again(), warp = thread / kWarp, lane = thread % kWarp;
    // Rows whose chunks are read together are 1 and 16 apart; this puts their chunks in different banks.
    const auto place = [&](int row, int chunk) {
      return window + row * kAcross + (chunk ^ ((row & 1) | (row >> 4 & 3) << 1));
    };
    source.prepare();
    __syncthreads();  // the window before may still be read
#pragma unroll Source::kAtOnce
    for (int i = 0; i < 2 * kTiles; ++i) {
      const int item = thread + i * kThreads;
      const int row = item / kAcross, chunk = item % kAcross;
      const int count = row < strip.width ? max(0, min(kChunk, strip.height - chunk * kChunk)) : 0;
      source.stage(strip.col + row, strip.row + chunk * kChunk, count, place(row, chunk));
    }
    end_copy_group();
    wait_for_copies<0>();
    __syncthreads();
    // Matrix i of a half gives lane l elements 2 i and 2 i + 1 of the sixteen from row 16 * (l % 4) on.
    const int row = lane % 8 / 2 * kTile + lane / 8 * 2 + lane % 2;
#pragma unroll
    for (int pair = 0; pair < kTiles / 2; ++pair) {
      const int chunk = warp * (kTiles / 2) + pair;
      TileWords halves[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          uint4& four = halves[half][i];
          load_matrices_transposed(place(half * kSquare / 2 + row + i * kChunk, chunk), four.x, four.y,
                                   four.z, four.w);
        }
      }
      join_tiles(halves[0], halves[1], words[2 * pair], words[2 * pair + 1]);
    }
  }
};

template <typename Source>
using TransposedJob = QuantizeJob<TransposedInput<Source>>;

// Groups within a window, rotations within 128 columns.
inline bool is_transposed_while_read(const qutlass_rotation& rotation, const qutlass_quantized& out) {
  const RotateBy by = rotate_by(rotation);
  return out.format.group_rows != 0 && out.format.group_cols != 0 && by != RotateBy::kCopy &&
         (by == RotateBy::kNothing || rotation.size <= kSquare);
}

// The global scale of an NV rule over the finite values. partial: kRangeBlocks of them.
template <typename Source>
void enqueue_transposed_scale(CudaStream& s, const TransposedJob<Source>& job, GroupRange* partial);
// Codes and scales; a global scale is given, or a constant.
template <bool kStochastic, typename Source>
void enqueue_transposed(CudaStream& s, const TransposedJob<Source>& job);

}  // namespace qutlass::cuda
