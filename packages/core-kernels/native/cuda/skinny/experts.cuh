// Products of experts as items of the kernel for few rows: an expert with rows of A has passes, each of them
// some of its rows and all sets of its row blocks. The sets of all passes, one pass after the other, are cut
// into equal parts for the blocks, so experts without rows cost nothing, and weights that are read once more
// for another pass come from the second-level cache.
#pragma once

#include "cuda/gemm/expert_passes.cuh"
#include "cuda/skinny/formats.cuh"

namespace qutlass::cuda {

template <typename Shape>
class Items<Shape, SkinnyExperts> {
  using Passes = ExpertPasses<Shape::kThreads>;

 public:
  static constexpr bool kOfExperts = true;
  // A block's sets are of as many passes as they fill, and parts of two more.
  __host__ __device__ static constexpr int bytes(const SkinnySplit& split) {
    const int passes = split.block_sets / split.sets + 2;
    return (Passes::kBytes + passes * static_cast<int>(sizeof(ExpertPass)) + 15) / 16 * 16;
  }
  static int most_sets(const SkinnyExperts& p) {
    return static_cast<int>(p.of_experts.most_passes(p.rows) * (p.row_blocks / Shape::kBlocks));
  }

  int first_set, end_set;

  // Waits for the kernel before this one, which may have found the offsets.
  __device__ Items(const SkinnyExperts& p, const SkinnySplit& split, uint8_t* shared)
      : p_(p), sets_(split.sets), passes_(reinterpret_cast<ExpertPass*>(shared + Passes::kBytes)) {
    wait_for_dependency();
    const Passes all(p.of_experts, p.rows, shared);
    const int block = static_cast<int>(blockIdx.x);
    all.clear_others(p.weights[0].epilogue, block, split.blocks);
    const int64_t sets = static_cast<int64_t>(all.count()) * sets_;
    first_set = static_cast<int>(sets * block / split.blocks);
    end_set = static_cast<int>(sets * (block + 1) / split.blocks);
    first_pass_ = first_set / sets_;
    all.for_each(first_pass_, (end_set + sets_ - 1) / sets_,
                 [&](int number, const ExpertPass& pass) { passes_[number - first_pass_] = pass; });
    __syncthreads();
  }

  __device__ SetSource source(int set) const {
    const int pass = set / sets_;
    return {0, passes_[pass - first_pass_].expert * p_.row_blocks + (set - pass * sets_) * Shape::kBlocks};
  }
  __device__ SumTarget target(int set, int row, int token) const {
    const int number = set / sets_, n = (set - number * sets_) * Shape::kRows + row;
    const ExpertPass& pass = passes_[number - first_pass_];
    return {0, pass.row + token, n, pass.expert * p_.weights[0].n + n, token < pass.rows};
  }
  template <typename Activations>
  __device__ Activations turned(const Activations& activations, int set) const {
    const ExpertPass& pass = passes_[set / sets_ - first_pass_];
    return activations.of_rows(pass.row * p_.parts, pass.rows * p_.parts);
  }

 private:
  const SkinnyExperts& p_;
  int sets_;  // of a pass
  ExpertPass* passes_;
  int first_pass_;
};

template <typename T, int kTokens>
void launch_passes(SkinnyExperts p, const SkinnyLaunch& launch) {
  using Shape = StreamShape<T, kTokens>;
  p.rows = std::min(p.of_experts.rows, 8 * kTokens / p.parts);
  p.m = p.rows * p.parts;
  launch_split<T, Shape>(p, split_for<T, Shape>(p, launch), launch);
}

// Sixteen rows of bf16 take a fifth more time than eight, and a second pass nearly as much again as the
// first: passes of eight are for experts that have more rows seldom, four of them if they have the same
// share.
template <typename T>
void launch_experts(const SkinnyExperts& p, const SkinnyLaunch& launch) {
  if (int64_t{p.of_experts.rows} * p.parts > 4 * int64_t{p.of_experts.experts})
    return launch_passes<T, 2>(p, launch);
  launch_passes<T, 1>(p, launch);
}

}  // namespace qutlass::cuda
