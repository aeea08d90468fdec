// A as lanes multiply it: 16 bytes of bf16 in a row are two steps, 8 codes a part of 32 columns.
#pragma once

#include <bit>

#include "cuda/skinny/make_rows.cuh"
#include "cuda/skinny/ring.cuh"

namespace qutlass::cuda {

// What every block makes its rows of (bf16_rows.h).
template <bool kIntegers>
using MakeRowsOfBlock = std::conditional_t<kIntegers, MakeRows<WholeRows, true, Kind::kInt8>,
                                           MakeRows<WholeRows, false, Kind::kE2M1, Kind::kE4M3>>;

// In shared memory, or in global memory, each warp with its own part of it.
template <typename T, typename Shape>
class Activations {
  using Scales = SharedScales<kMostMade, Shape::kWarps>;
  static constexpr int kScaleBytes = Shape::kMadeA ? (static_cast<int>(sizeof(Scales)) + 15) / 16 * 16 : 0;

 public:
  // Rows that lanes read together are in different banks; runs of 16 columns still meet in pairs, but a
  // distance that kept them apart would tear the 32-byte sectors in which copies come.
  __host__ __device__ static constexpr int row_bytes(int tiles) {
    return (tiles * T::kCols + 32) * T::kBytesOfA;
  }
  __host__ __device__ static constexpr int bytes(int m, int tiles) {
    return Shape::kSharedA ? m * row_bytes(tiles) + kScaleBytes : 0;
  }

  // Before the kernel waits: what a request needs is worked out when time does not matter.
  __device__ Activations(const SkinnyExtents& p, uint8_t* shared) : p_(p), shared_(shared) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int n = 0; n < Shape::kTokens; ++n) {
      // Columns of the operand beyond the rows of A repeat the last; what comes out of them is not stored.
      rows_[n] = row_of(p, shared, min(n * 8 + lane / 4, p.m - 1), lane);
    }
  }

  // The same for other rows of A, `count` from `first` on.
  __device__ Activations of_rows(int first, int count) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    Activations other = *this;
#pragma unroll
    for (int n = 0; n < Shape::kTokens; ++n) {
      other.rows_[n] = row_of(p_, shared_, first + min(n * 8 + lane / 4, count - 1), lane);
    }
    return other;
  }

  // All threads: the copies of a group. Columns of the last tile that A does not have are zeros.
  __device__ void request() const {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    // Warps for a row: a power of two.
    constexpr int kLogWarps = std::bit_width(static_cast<unsigned>(Shape::kWarps)) - 1;
    const int log_parts = kLogWarps - (32 - __clz(p_.m - 1)), row = warp >> log_parts;
    if (row >= p_.m) return;
    uint8_t* to = shared_ + row * row_bytes(p_.tiles);
    const uint8_t* from = p_.a + static_cast<int64_t>(row) * p_.k * T::kBytesOfA;
    constexpr int kAtOnce = 16 / T::kBytesOfA;
    for (int col = ((warp & ((1 << log_parts) - 1)) * 32 + lane) * kAtOnce; col < p_.tiles * T::kCols;
         col += 32 * kAtOnce << log_parts) {
      const int at = col * T::kBytesOfA;
      copy_async_or_zero(to + at, from + (col < p_.k ? at : 0), col < p_.k);
    }
  }

  // The same of rows that are not in memory, and factors of rows of A; returns its global scale.
  __device__ float make(float* factors) const {
    const MadeRows to{shared_, row_bytes(p_.tiles), p_.parts, p_.tiles * T::kCols, factors};
    return MakeRowsOfBlock<T::kIntegers>::make(p_.source, to,
                                               {static_cast<int>(threadIdx.x), Shape::kThreads},
                                               *reinterpret_cast<Scales*>(shared_ + p_.m * to.pitch));
  }

  // Whether A has all columns of a tile; in shared memory it does.
  __device__ bool whole(int tile) const { return Shape::kSharedA || (tile + 1) * T::kCols <= p_.k; }

  // Two steps of a unit, from `step` on, for 8 rows of A.
  template <bool kWhole>
  __device__ uint4 load(int n, int tile, int unit, int step) const {
    const int col = tile * T::kCols + tile_column(T::kCode, unit, 0, step, 0, 0);
    if constexpr (!kWhole) {
      // Eight columns are inside of A or outside.
      if (col + static_cast<int>(threadIdx.x) % 4 * tile_run(T::kCode) >= p_.k) return uint4{};
    }
    return *reinterpret_cast<const uint4*>(rows_[n] + col * 2);
  }

  // Eight codes of 32 columns, for 8 rows of A.
  template <bool kWhole>
  __device__ uint2 load_codes(int n, int tile, int span) const {
    const int col = tile * T::kCols + span * 32;
    if constexpr (!kWhole) {
      if (col + static_cast<int>(threadIdx.x) % 4 * 8 >= p_.k) return uint2{};
    }
    return *reinterpret_cast<const uint2*>(rows_[n] + col);
  }

 private:
  __device__ static const uint8_t* row_of(const SkinnyExtents& p, const uint8_t* shared, int row, int lane) {
    return (Shape::kSharedA ? shared + row * row_bytes(p.tiles)
                            : p.a + static_cast<int64_t>(row) * p.k * T::kBytesOfA) +
           lane % 4 * tile_run(T::kCode) * T::kBytesOfA;
  }

  const SkinnyExtents& p_;
  uint8_t* shared_;
  const uint8_t* rows_[Shape::kTokens];  // from the first column of the lane on
};

}  // namespace qutlass::cuda
