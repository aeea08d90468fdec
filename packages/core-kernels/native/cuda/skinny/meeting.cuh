// Where sums meet: those of a block's warps, then those of a cluster's blocks, always in the same order.
#pragma once

#include "cuda/atoms/cluster.cuh"
#include "cuda/skinny/ring.cuh"

namespace qutlass::cuda {

// The sums of a warp: registers of mma fragments, [row block][tile of A].
template <typename Shape>
struct Sums {
  float values[Shape::kBlocks][Shape::kTokens][4] = {};
};

// Rows of B whose sums meet at once.
inline constexpr int kMaxRoundRows = 256;

// In shared memory. A warp that has items of set s of a round has slot warp + s for its sums, which no other
// pair has: along the items either the warp or the set goes up by one.
template <typename Shape>
class Meeting {
 public:
  // Rows of A apart, in floats: lanes that store together are in different banks.
  static constexpr int kStride = Shape::kRows + 4;

  __host__ __device__ static constexpr int bytes(const SkinnySplit& split, int m) {
    const int slots = Shape::kWarps + split.round_sets - 1;
    const int inboxes = split.log_cluster == 0 ? 0 : split.cluster_sets > split.round_sets ? 2 : 1;
    const int floats = split.cluster_sets * Shape::kRows + slots * m * kStride + inboxes * inbox_floats(split, m);
    return 8 + split.round_sets * 8 + floats * 4;
  }

  // All threads, before the kernel waits for the one before it: row factors are copied in the group of copies
  // that comes next.
  __device__ Meeting(const SkinnyProblem& p, const SkinnySplit& split, const Share<Shape>& share, uint8_t* shared)
      : p_(p),
        split_(split),
        share_(share),
        factor_(reinterpret_cast<double*>(shared)),
        warps_(reinterpret_cast<Warps*>(factor_ + 1)),
        row_factors_(reinterpret_cast<float*>(warps_ + split.round_sets)),
        slots_(row_factors_ + split.cluster_sets * Shape::kRows),
        inboxes_(slots_ + (Shape::kWarps + split.round_sets - 1) * p.m * kStride) {
    const int first = share.first_set * Shape::kRows, rows = share.end_set * Shape::kRows - first;
    for (int i = static_cast<int>(threadIdx.x); i < rows; i += Shape::kThreads) {
      copy_async<4>(row_factors_ + i, p.row_factors + first + i);
    }
  }

  // The factor of all sums.
  __device__ void set_factor(double factor) const { *factor_ = factor; }

  // Before the sums of a round meet: which warps have some of a set.
  __device__ void open(int sets) const {
    const int set = static_cast<int>(threadIdx.x), tiles = split_.chunk_tiles;
    if (set >= sets) return;
    warps_[set] = {Stretch<Shape>::owner(sets * tiles, set * tiles),
                   Stretch<Shape>::owner(sets * tiles, (set + 1) * tiles - 1)};
  }

  // Leaves the sums in a slot, or adds them to what the warp left there.
  __device__ void store(int slot, const Sums<Shape>& mine, bool adds) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float* to = slots_ + slot * p_.m * kStride + lane / 4;
#pragma unroll
    for (int n = 0; n < Shape::kTokens; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = n * 8 + lane % 4 * 2 + i % 2;
        if (token >= p_.m) continue;
#pragma unroll
        for (int r = 0; r < Shape::kBlocks; ++r) {
          float& sum = to[token * kStride + r * kTileRows + i / 2 * 8];
          sum = adds ? sum + mine.values[r][n][i] : mine.values[r][n][i];
        }
      }
    }
  }

  // All threads, after a barrier. odd: whether the round is; blocks that are still in the round before read
  // the other inbox.
  __device__ void finish(int round, int sets, bool odd) const {
    const int lines = sets * p_.m;  // rows of D, a set wide
    const Line line_of(p_.m);
    float* const inbox = inboxes_ + (odd ? inbox_floats(split_, p_.m) : 0);
    const int log = log_cluster<Shape>(split_), line_floats = inbox_floats(split_, p_.m) >> log;  // of a rank
    const double factor = *factor_;
    for (int i = static_cast<int>(threadIdx.x); i < lines * Shape::kRows; i += Shape::kThreads) {
      const int line = i / Shape::kRows, row = i % Shape::kRows, set = line_of.set(line);
      const int token = line - set * p_.m;
      const Warps warps = warps_[set];
      const float* from = slots_ + ((warps.first + set) * p_.m + token) * kStride + row;
      float sum = 0;
#pragma unroll 4
      for (int warp = warps.first; warp <= warps.last; ++warp, from += p_.m * kStride) sum += *from;
      if (log == 0) {
        write(round + set, token, row, factor, sum);
      } else {
        const int rank = line & ((1 << log) - 1);
        store_in_cluster(inbox + share_.rank * line_floats + (line >> log) * Shape::kRows + row, rank, sum);
      }
    }
    if (log == 0) return;
    arrive_at_cluster();
    wait_for_cluster();
    for (int i = static_cast<int>(threadIdx.x);; i += Shape::kThreads) {
      const int line = (i / Shape::kRows << log) + share_.rank;
      if (line >= lines) return;
      const int set = line_of.set(line);
      float sum = 0;
      for (int rank = 0; rank < 1 << log; ++rank) sum += inbox[rank * line_floats + i];
      write(round + set, line - set * p_.m, i % Shape::kRows, factor, sum);
    }
  }

 private:
  // Lines are few: a multiplication divides them by the rows of A.
  struct Line {
    uint32_t inverse;
    __device__ explicit Line(int m) : inverse(65535u / static_cast<uint32_t>(m) + 1) {}
    __device__ int set(int line) const { return static_cast<int>(static_cast<uint32_t>(line) * inverse >> 16); }
  };
  __device__ void write(int set, int token, int row, double factor, float sum) const {
    const int n = set * Shape::kRows + row;
    if (n >= p_.n) return;
    const double row_factor = row_factors_[n - share_.first_set * Shape::kRows];
    p_.epilogue.store(token, n, factor * row_factor, static_cast<double>(sum));
  }
  __host__ __device__ static constexpr int inbox_floats(const SkinnySplit& split, int m) {
    const int lines = split.round_sets * m, blocks = 1 << split.log_cluster;
    return (lines + blocks - 1) / blocks * blocks * Shape::kRows;
  }
  struct Warps {
    int first, last;
  };

  const SkinnyProblem& p_;
  const SkinnySplit& split_;
  const Share<Shape>& share_;
  double* factor_;
  Warps* warps_;
  float *row_factors_, *slots_, *inboxes_;
};

}  // namespace qutlass::cuda
