// A as lanes multiply it: 16 bytes of a row are two steps.
#pragma once

#include <bit>

#include "cuda/skinny/ring.cuh"

namespace qutlass::cuda {

// Chunks of A in shared memory, all of them or by turns.
template <typename T, typename Shape>
class Activations {
 public:
  // Eight rows that lanes read together are in different banks: their part of a row is 64 bytes, or 16 of each
  // 32.
  __host__ __device__ static constexpr int row_bytes(int tiles) {
    return tiles * T::kCols * 2 + (tile_run(T::kCode) == 16 ? 16 : 64);
  }
  __host__ __device__ static constexpr int bytes(const SkinnySplit& split, int m) {
    return split.buffers * m * row_bytes(split.chunk_tiles);
  }

  // Before the kernel waits, so that requests take little to make.
  __device__ Activations(const SkinnyProblem& p, const SkinnySplit& split, const Share<Shape>& share,
                         uint8_t* shared)
      : p_(p), split_(split), share_(share), shared_(shared) {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    // Warps for a row: a power of two, if there are more warps than rows.
    const int log_parts = max(kLogWarps - (32 - __clz(p.m - 1)), 0);
    row_ = warp >> log_parts;
    rows_ = Shape::kWarps >> log_parts;
    col_ = ((warp & ((1 << log_parts) - 1)) * 32 + lane) * 8;
    cols_ = 256 << log_parts;
  }

  // All threads: copies for the next group. Columns of the last tile that A does not have are zeros. Blocks ask
  // for the same columns at the same time, which the second-level cache answers faster than different ones.
  __device__ void request(int buffer, int chunk) const {
    const int first_tile = chunk * split_.chunk_tiles;
    const int first = (share_.first_tile + first_tile) * T::kCols;
    const int end = min(split_.chunk_tiles, share_.tiles - first_tile) * T::kCols;
    for (int row = row_; row < p_.m; row += rows_) {
      uint8_t* to = shared_ + (buffer * p_.m + row) * row_bytes(split_.chunk_tiles);
      const uint8_t* from = p_.a + (static_cast<int64_t>(row) * p_.k + first) * 2;
      for (int col = col_; col < end; col += cols_) {
        const bool inside = first + col < p_.k;
        copy_async_or_zero(to + col * 2, inside ? from + col * 2 : from, inside);
      }
    }
  }

  // The rows that a lane reads, from its first column of the chunk on. Columns of the operand beyond the rows
  // of A repeat the last; what comes out of them is not stored.
  struct Rows {
    const uint8_t* row[Shape::kTokens];
  };
  __device__ Rows rows(int buffer) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    Rows rows;
#pragma unroll
    for (int n = 0; n < Shape::kTokens; ++n) {
      const int row = min(n * 8 + lane / 4, p_.m - 1);
      rows.row[n] = shared_ + (buffer * p_.m + row) * row_bytes(split_.chunk_tiles) +
                    lane % 4 * tile_run(T::kCode) * 2;
    }
    return rows;
  }

  // Two steps, from `step` on, for 8 rows of A.
  __device__ static uint4 load(const Rows& rows, int n, int tile, int unit, int step) {
    const int col = tile * T::kCols + tile_column(T::kCode, unit, 0, step, 0, 0);
    return *reinterpret_cast<const uint4*>(rows.row[n] + col * 2);
  }

 private:
  static constexpr int kLogWarps = std::bit_width(static_cast<unsigned>(Shape::kWarps)) - 1;

  const SkinnyProblem& p_;
  const SkinnySplit& split_;
  const Share<Shape>& share_;
  uint8_t* shared_;
  int row_, rows_, col_, cols_;  // of this lane: where it begins, and how far apart its parts are
};

}  // namespace qutlass::cuda
