// What the attention kernels share: the problem, the part of the cache that a block reads, and its result.
//
// The query heads of all tokens that read the same head of the cache are the rows of a matrix; a block takes
// some rows of one kv head. Where that is too little work for the device, the visible cache is split over
// blocks, whose partial results a second kernel adds up in order, or the blocks, where they are a cluster.
// Positions lie in device memory, so the grid follows from the capacity, and each block finds its share of
// what is visible. Softmax with a running maximum: https://arxiv.org/abs/2205.14135.
#pragma once

#include <cstdint>

#include "dense.cuh"

namespace qutlass::cuda {

struct AttentionProblem {
  Dense q;
  Dense k_cache;
  Dense v_cache;
  Dense out;
  const int32_t* positions;
  float scale;
  int64_t tokens;
  int heads;
  int kv_heads;
  int group;  // query heads to a kv head
  int head_dim;
  int capacity;
  bool q_vectors;  // rows of heads are whole vectors
  bool k_vectors;
  bool v_vectors;
  // Of one token that is to be rotated and appended first: [kv_heads, head_dim], and [head_dim / 2]; or none.
  Dense k;
  Dense v;
  const float* inv_freq;
  int splits;
  bool in_cluster;        // those of a row add up what they find
  float* partial_sums;    // [splits, tokens * heads, head_dim], or null for one split
  float2* partial_stats;  // [tokens * heads, splits] of largest score and sum of weights
};

// The stats' sum of weights of a row that sees nothing of a split; its sums are 0.
inline constexpr float kNothingSeen = -1.0f;

__host__ __device__ inline int rows_of_kv_head(const AttentionProblem& p) {
  return static_cast<int>(p.tokens) * p.group;
}

// Chooses p.splits from the streaming multiprocessors and the blocks that a launch would have without splits;
// a split has at least `step` cache rows when all of the cache is visible.
void choose_splits(AttentionProblem& p, int64_t blocks, int64_t wanted_blocks, int step);

// The ways of computing it: of one token over a bf16 cache, of few rows, of many.
bool is_token_attention(const AttentionProblem& p);
void plan_token_attention(AttentionProblem& p, int multiprocessors);
// Whether the kernel does what comes before, for keys and values in bf16 at multiples of 16 bytes.
bool can_append(const AttentionProblem& p);
void launch_token_attention(const AttentionProblem& p, const cudaDeviceProp& device, cudaStream_t stream);
constexpr int64_t kMaxDecodeRows = 16;
void plan_decode_attention(AttentionProblem& p, int multiprocessors);
void launch_decode_attention(const AttentionProblem& p, const cudaDeviceProp& device, cudaStream_t stream);
void plan_tile_attention(AttentionProblem& p, int multiprocessors);
void launch_tile_attention(const AttentionProblem& p, const cudaDeviceProp& device, cudaStream_t stream);

// Cache rows that a row of the matrix sees: none below position 0, all past the cache.
__device__ inline int visible_rows(const AttentionProblem& p, int row) {
  const int position = p.positions[row / p.group];
  return position < 0 ? 0 : min(position, p.capacity - 1) + 1;
}

// The index of a row of the matrix among the heads of q and out.
__device__ inline int64_t head_index(const AttentionProblem& p, int row, int kv_head) {
  const int token = row / p.group;
  return int64_t{token} * p.heads + kv_head * p.group + (row - token * p.group);
}

__device__ inline int64_t cache_offset(const AttentionProblem& p, int cache_row, int kv_head) {
  return (int64_t{cache_row} * p.kv_heads + kv_head) * p.head_dim;
}

struct CacheRange {
  int begin;
  int end;
};

// A block's share of the first `deepest` cache rows, in whole steps.
__device__ inline CacheRange split_range(int deepest, int split, int splits, int step) {
  const int steps = (deepest + step - 1) / step;
  const int chunk = (steps + splits - 1) / splits * step;
  // A split may begin far behind the end.
  const int64_t begin = int64_t{split} * chunk, end = begin + chunk;
  return {static_cast<int>(min(begin, int64_t{deepest})), static_cast<int>(min(end, int64_t{deepest}))};
}

// While every score is -infinity the shift is 0, which keeps their weights 0 and not NaN.
__device__ inline float score_shift(float largest) { return largest == -INFINITY ? 0.0f : largest; }

// Elements [column, column + 8) of a row of `width`, zeros past its end.
template <typename T>
__device__ inline void read_chunk(const T* row, int column, int width, bool vectors,
                                  float (&values)[kVector]) {
  if (vectors && column < width) {
    load<kVector>(row + column, values);
    return;
  }
#pragma unroll
  for (int i = 0; i < kVector; ++i) values[i] = column + i < width ? to_float(row[column + i]) : 0.0f;
}

}  // namespace qutlass::cuda
