// Where groups of threads that went through the cache on their own bring together what they found.
#pragma once

#include "attention.cuh"

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

  // Adds the groups up and writes what the block is for: rows of heads, or the part of a split.
  __device__ void write(const AttentionProblem& p, int first_row, int kv_head, int split, int threads) const {
    const int rows = min(Rows, rows_of_kv_head(p) - first_row);
    for (int index = static_cast<int>(threadIdx.x); index < rows * Width; index += threads) {
      const int r = index / Width, column = index % Width;
      if (column >= p.head_dim) continue;
      float weight = 0, sum = 0;
#pragma unroll
      for (int group = 0; group < Groups; ++group) {
        weight += weights[r][group];
        sum += sums[group][r][column];
      }
      const int64_t head = head_index(p, first_row + r, kv_head);
      if (p.splits == 1) {
        const float result[1] = {seen[r] ? sum / weight : 0.0f};
        store<1>(result, p.out, head * p.head_dim + column);
        continue;
      }
      if (column == 0)
        p.partial_stats[head * p.splits + split] = {largest_of(r), seen[r] ? weight : kNothingSeen};
      const int64_t slot = split * p.tokens * p.heads + head;
      p.partial_sums[slot * p.head_dim + column] = seen[r] ? sum : 0.0f;
    }
  }
};

}  // namespace qutlass::cuda
