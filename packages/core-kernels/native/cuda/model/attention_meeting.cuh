// Where those that went through parts of the cache bring together what they found.
#pragma once

#include "attention.cuh"
#include "block_reduce.cuh"
#include "cuda/atoms/cluster.cuh"

namespace qutlass::cuda {

// Of each group and row: first the largest score; then weight and sums, brought to the largest of all groups.
// Stride: of rows of sums, against bank conflicts.
template <int Groups, int Rows, int Width, int Stride = Width>
struct Meeting {
  float largest[Rows][Groups];
  float weights[Rows][Groups];
  float sums[Groups][Rows][Stride];
  bool seen[Rows];  // whether a row sees anything

  __device__ float largest_of(int row) const {
    float of_all = largest[row][0];
#pragma unroll
    for (int group = 1; group < Groups; ++group) of_all = fmaxf(of_all, largest[row][group]);
    return of_all;
  }

  // What a group multiplies weight and sums with.
  __device__ float factor(int row, int group) const {
    return expf(largest[row][group] - score_shift(largest_of(row)));
  }

  __device__ float weight(int row) const {
    float of_all = 0;
#pragma unroll
    for (int group = 0; group < Groups; ++group) of_all += weights[row][group];
    return of_all;
  }
  // Largest score and sum of weights of all groups.
  __device__ float2 stats(int row) const { return {largest_of(row), seen[row] ? weight(row) : kNothingSeen}; }
  __device__ float sum(int row, int column) const {
    float of_all = 0;
#pragma unroll
    for (int group = 0; group < Groups; ++group) of_all += sums[group][row][column];
    return of_all;
  }

  // Adds the groups up and writes what the block is for: rows of heads, or the part of a split.
  __device__ void write(const AttentionProblem& p, int first_row, int kv_head, int split, int threads) const {
    const int rows = min(Rows, rows_of_kv_head(p) - first_row);
    for (int index = static_cast<int>(threadIdx.x); index < rows * Width; index += threads) {
      const int r = index / Width, column = index % Width;
      if (column >= p.head_dim) continue;
      const int64_t head = head_index(p, first_row + r, kv_head);
      if (p.splits == 1) {
        const float result[1] = {seen[r] ? sum(r, column) / weight(r) : 0.0f};
        store<1>(result, p.out, head * p.head_dim + column);
        continue;
      }
      if (column == 0) p.partial_stats[head * p.splits + split] = stats(r);
      const int64_t slot = split * p.tokens * p.heads + head;
      p.partial_sums[slot * p.head_dim + column] = seen[r] ? sum(r, column) : 0.0f;
    }
  }
};

// Where the blocks of a cluster meet, a split each: every block adds up some of the columns. Splits are a
// power of two, and threads whole warps.
template <int Rows, int Width, int MaxSplits>
class SplitsMeeting {
  static_assert(Width % kWarp == 0);

 public:
  struct Shared {
    float2 stats[MaxSplits][Rows];
    float sums[MaxSplits * (Rows * Width / MaxSplits + kWarp)];  // of each split its part of the columns
  };

  __device__ SplitsMeeting(int rows, int splits, int split) : rows_(rows), splits_(splits), split_(split) {
    // A power of two, and whole warps.
    int elements = Width;
    while (elements < rows * Width) elements *= 2;
    share_ = max(elements / splits, kWarp);
    shift_ = 31 - __clz(share_);
  }

  // Gives every block of the cluster its part, when all of them run.
  template <typename OfBlock>
  __device__ void send(const OfBlock& found, Shared& shared, int threads) const {
    const int thread = static_cast<int>(threadIdx.x);
    for (int index = thread; index < Rows * splits_; index += threads) {
      const int row = index % Rows;
      if (row >= rows_) continue;
      const Peer peer(&shared, index / Rows);
      const float2 stats = found.stats(row);
      peer.store(&shared.stats[split_][row].x, stats.x);
      peer.store(&shared.stats[split_][row].y, stats.y);
    }
    for (int index = thread; index < rows_ * Width; index += threads) {
      const int row = index / Width;
      const float sum = found.seen[row] ? found.sum(row, index % Width) : 0.0f;
      Peer(&shared, index >> shift_).store(&shared.sums[split_ * share_ + (index & (share_ - 1))], sum);
    }
  }

  // After the cluster has met: store(row, column, result) with the columns of this block.
  template <typename Store>
  __device__ void add_up(const Shared& shared, int threads, const Store& store) const {
    for (int own = static_cast<int>(threadIdx.x); own < share_; own += threads) {
      const int index = split_ * share_ + own, row = index / Width;
      if (row >= rows_) return;
      // All of them on their way at once.
      float2 stats[MaxSplits];
      float sums[MaxSplits];
#pragma unroll
      for (int split = 0; split < MaxSplits; ++split) {
        const bool is_one = split < splits_;
        stats[split] = is_one ? shared.stats[split][row] : float2{0, kNothingSeen};
        sums[split] = is_one ? shared.sums[split * share_ + own] : 0;
      }
      float largest = -INFINITY;
#pragma unroll
      for (const float2& of_split : stats)
        if (of_split.y != kNothingSeen) largest = fmaxf(largest, of_split.x);
      const float shift = score_shift(largest);
      float weight = 0, sum = 0;
      bool seen = false;
#pragma unroll
      for (int split = 0; split < MaxSplits; ++split) {
        if (stats[split].y == kNothingSeen) continue;
        const float factor = expf(stats[split].x - shift);
        weight = fmaf(stats[split].y, factor, weight);
        sum = fmaf(sums[split], factor, sum);
        seen = true;
      }
      store(row, index % Width, seen ? sum / weight : 0.0f);
    }
  }

 private:
  const int rows_, splits_, split_;
  int share_, shift_;  // elements that a block adds up, 1 << shift_
};

}  // namespace qutlass::cuda
