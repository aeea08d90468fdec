// The rows of A that experts have, found on the device and divided into passes.
#pragma once

#include "cuda/gemm/epilogue.cuh"
#include "cuda/gemm/expert_rows.h"

namespace qutlass::cuda {

// Rows of an expert that are multiplied at once.
struct ExpertPass {
  int expert, row, rows;
};

// combine(a, b) over the values of the threads before this one; in `all`, over those of the block. All of
// kThreads threads take part; `of_warps` has a place for each warp and is free after a barrier.
template <int kThreads, typename Combine>
__device__ inline int combine_before(int value, int* of_warps, Combine combine, int& all) {
  constexpr unsigned kLanes = 0xFFFFFFFFu;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  int up_to_here = value;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int before = __shfl_up_sync(kLanes, up_to_here, distance);
    if (lane >= distance) up_to_here = combine(up_to_here, before);
  }
  if (lane == 31) of_warps[warp] = up_to_here;
  __syncthreads();
  const int before = __shfl_up_sync(kLanes, up_to_here, 1);
  int result = lane > 0 ? before : 0;
  all = 0;
  for (int i = 0; i < kThreads / 32; ++i) {
    if (i == warp) result = combine(result, all);
    all = combine(all, of_warps[i]);
  }
  return result;
}

// The passes of all experts, numbered through: a thread knows those of its own experts, which follow each
// other. All of kThreads threads take part.
template <int kThreads>
class ExpertPasses {
 public:
  static constexpr int kBytes = 2 * kThreads / 32 * static_cast<int>(sizeof(int));

  // size: rows of a pass at most; shared: kBytes.
  __device__ ExpertPasses(const ExpertRows& rows, int size, void* shared) : rows_(rows), size_(size) {
    const int each = (rows.experts + kThreads - 1) / kThreads;
    first_expert_ = min(static_cast<int>(threadIdx.x) * each, rows.experts);
    end_expert_ = min(first_expert_ + each, rows.experts);
    auto* of_warps = static_cast<int*>(shared);
    int largest = 0;
    for (int e = first_expert_; e < end_expert_; ++e) largest = max(largest, offset(e));
    const auto later = [](int a, int b) { return max(a, b); };
    begin_ = combine_before<kThreads>(largest, of_warps, later, end_);
    end_ = max(end_, offset(rows.experts));
    int mine = 0;
    for_each_expert([&](int, int begin, int end) { mine += passes(end - begin); });
    const auto sum = [](int a, int b) { return a + b; };
    first_pass_ = combine_before<kThreads>(mine, of_warps + kThreads / 32, sum, count_);
  }

  __device__ int count() const { return count_; }

  // Calls visit(number, pass) for the passes of this thread from number `begin` to `end`.
  template <typename Visit>
  __device__ void for_each(int begin, int end, Visit&& visit) const {
    int number = first_pass_;
    for_each_expert([&](int expert, int row, int end_row) {
      const int after = number + passes(end_row - row);
      for (int i = max(number, begin); i < min(after, end); ++i) {
        const int first = row + (i - number) * size_;
        visit(i, ExpertPass{expert, first, min(end_row - first, size_)});
      }
      number = after;
    });
  }

  // Zeros in rows of D that belong to no expert; one of `blocks` blocks does its part.
  __device__ void clear_others(const Epilogue& epilogue, int block, int blocks) const {
    const int before = offset(0), count = before + rows_.rows - end_;
    const int64_t elements = static_cast<int64_t>(count) * epilogue.cols;
    for (int64_t i = static_cast<int64_t>(block) * kThreads + threadIdx.x; i < elements;
         i += static_cast<int64_t>(blocks) * kThreads) {
      const int64_t skipped = i < static_cast<int64_t>(before) * epilogue.cols ? 0 : end_ - before;
      store_dense(epilogue.out, epilogue.out_dtype, i + skipped * epilogue.cols, 0.0f);
    }
  }

 private:
  __device__ int offset(int i) const { return min(max(rows_.offsets[i], 0), rows_.rows); }
  __device__ int passes(int count) const { return (count + size_ - 1) / size_; }

  template <typename Visit>
  __device__ void for_each_expert(Visit&& visit) const {
    int begin = begin_;
    if (first_expert_ < end_expert_) begin = max(begin, offset(first_expert_));
    for (int e = first_expert_; e < end_expert_; ++e) {
      const int end = max(begin, offset(e + 1));
      visit(e, begin, end);
      begin = end;
    }
  }

  const ExpertRows& rows_;
  int size_;
  int first_expert_, end_expert_;  // of this thread
  int begin_, end_;                // rows: of the experts before, and the end of all
  int first_pass_, count_;
};

}  // namespace qutlass::cuda
