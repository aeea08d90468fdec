// Where the sums of a block's warps meet, always in the same order.
#pragma once

#include <type_traits>

#include "cuda/skinny/ring.cuh"

namespace qutlass::cuda {

// The sums of a warp: registers of mma fragments, [row block][tile of A].
template <typename T, typename Shape>
struct Sums {
  typename T::Sum values[Shape::kBlocks][Shape::kTokens][4] = {};
};

// In shared memory. A warp that has items of set s of a round has slot warp + s for its sums, which no other
// pair has: along the items either the warp or the set goes up by one.
template <typename T, typename Shape, typename Group>
class Meeting {
  using Sum = typename T::Sum;

 public:
  // Rows of A apart, in sums: lanes that store together are in different banks.
  static constexpr int kStride = Shape::kRows + 4;

  __host__ __device__ static constexpr int bytes(const SkinnySplit& split, int m) {
    const int slots = Shape::kWarps + split.round_sets - 1;
    return kWeights * 8 + split.round_sets * 8 + (held_sets(split) * Shape::kRows + even(m)) * 4 +
           slots * m * kStride * static_cast<int>(sizeof(Sum));
  }

  // All threads, before the kernel waits for the one before it: row factors of all sets are copied in the
  // group of copies that comes next, unless there may be too many.
  __device__ Meeting(const Group& p, const Items<Shape, Group>& items, const SkinnySplit& split,
                     uint8_t* shared)
      : p_(p),
        items_(items),
        first_row_(items.first_set * Shape::kRows),
        factors_(reinterpret_cast<double*>(shared)),
        warps_(reinterpret_cast<Warps*>(factors_ + kWeights)),
        row_factors_(reinterpret_cast<float*>(warps_ + split.round_sets)),
        a_factors_(row_factors_ + held_sets(split) * Shape::kRows),
        slots_(reinterpret_cast<Sum*>(a_factors_ + even(p.m))) {
    if constexpr (!kByRound) {
      const int rows = items.end_set * Shape::kRows - first_row_;
      for (int i = static_cast<int>(threadIdx.x); i < rows; i += Shape::kThreads) {
        const int row = first_row_ + i, weight = p.weight_of(row / kTileRows);
        copy_async<4>(row_factors_ + i,
                      p.weights[weight].row_factors + (row - p.first_of(weight) * kTileRows));
      }
    }
  }

  // Of rows of A, for whoever makes these.
  __device__ float* a_factors() const { return a_factors_; }

  // What all sums of a weight are multiplied by, here with a factor of the format: a thread for each. Factors
  // of rows of A in memory are copied in the group of copies that comes next. a_global: of rows that are
  // made.
  __device__ void set_factors(double format, float a_global) const {
    const int row = static_cast<int>(threadIdx.x);
    if (row < p_.rows) {
      if (p_.a_factors) {
        copy_async<4>(a_factors_ + row, p_.a_factors + row * p_.a_factor_step);
      } else if (!Shape::kMadeA || !p_.source.has_row_factors) {
        a_factors_[row] = 1;
      }
    }
    const int weight = Shape::kThreads - 1 - static_cast<int>(threadIdx.x);
    if (weight < (kWeights == 1 ? 1 : p_.count)) {
      const Epilogue& epilogue = p_.weights[weight].epilogue;
      factors_[weight] = (Shape::kMadeA ? epilogue.factor(a_global) : epilogue.factor()) * format;
    }
  }

  // Before the sums of a round meet: which warps have some of a set, and row factors of the round.
  __device__ void open(int round, int sets) const {
    if constexpr (kByRound) {
      for (int i = static_cast<int>(threadIdx.x); i < sets * Shape::kRows; i += Shape::kThreads) {
        const auto [weight, row_block] = items_.source(round + i / Shape::kRows);
        row_factors_[i] = p_.weights[weight].row_factors[row_block * kTileRows + i % Shape::kRows];
      }
    }
    const int set = static_cast<int>(threadIdx.x), tiles = p_.tiles;
    if (set >= sets) return;
    warps_[set] = {Stretch<Shape>::owner(sets * tiles, set * tiles),
                   Stretch<Shape>::owner(sets * tiles, (set + 1) * tiles - 1)};
  }

  __device__ void store(int slot, const Sums<T, Shape>& mine) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    Sum* to = slots_ + slot * p_.m * kStride + lane / 4;
#pragma unroll
    for (int n = 0; n < Shape::kTokens; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = n * 8 + lane % 4 * 2 + i % 2;
        if (token >= p_.m) continue;
#pragma unroll
        for (int r = 0; r < Shape::kBlocks; ++r) {
          to[token * kStride + r * kTileRows + i / 2 * 8] = mine.values[r][n][i];
        }
      }
    }
  }

  // All threads, after a barrier.
  __device__ void finish(int round, int sets) const {
    const int lines = sets * p_.rows;                                      // of D, a set wide
    const uint32_t inverse = 65535u / static_cast<uint32_t>(p_.rows) + 1;  // exact, since lines are few
    for (int i = static_cast<int>(threadIdx.x); i < lines * Shape::kRows; i += Shape::kThreads) {
      const int line = i / Shape::kRows, row = i % Shape::kRows;
      const int set = static_cast<int>(static_cast<uint32_t>(line) * inverse >> 16),
                token = line - set * p_.rows;
      const Warps warps = warps_[set];
      // The parts of a row follow each other: p_.m is parts times rows.
      const Sum* from = slots_ + ((warps.first + set) * p_.m + token * p_.parts) * kStride + row;
      Sum sum = 0;
#pragma unroll 4
      for (int warp = warps.first; warp <= warps.last; ++warp, from += p_.m * kStride) {
        sum += *from;
        if (p_.parts == 2) sum += from[kStride];
      }
      const SumTarget to = items_.target(round + set, row, token);
      if (to.stored) {
        const double row_factor = row_factors_[kByRound ? set * Shape::kRows + row
                                                        : (round + set) * Shape::kRows + row - first_row_];
        const double factor = factors_[to.weight] * row_factor * a_factors_[token];
        p_.weights[to.weight].epilogue.store(to.m, to.n, to.b_row, factor, static_cast<double>(sum));
      }
    }
  }

 private:
  static constexpr bool kByRound = Items<Shape, Group>::kOfExperts;
  __host__ __device__ static constexpr int held_sets(const SkinnySplit& split) {
    return kByRound ? split.round_sets : split.block_sets;
  }

  static constexpr int kWeights = static_cast<int>(std::extent_v<decltype(Group::weights)>);

  __host__ __device__ static constexpr int even(int m) { return (m + 1) / 2 * 2; }

  struct Warps {
    int first, last;
  };

  const Group& p_;
  const Items<Shape, Group>& items_;
  int first_row_;
  double* factors_;
  Warps* warps_;
  float *row_factors_, *a_factors_;
  Sum* slots_;
};

}  // namespace qutlass::cuda
