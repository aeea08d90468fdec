// What a launch has to do: sets of row blocks, each for some rows of A.
#pragma once

#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/skinny/problem.cuh"

namespace qutlass::cuda {

// Where the tiles of a set are: in which weight, and from which of its row blocks on.
struct SetSource {
  int weight, row_block;
};
// Where a sum goes, if anywhere: row m and column n of the result, which is that of row b_row of the weight.
struct SumTarget {
  int weight, m, n, b_row;
  bool stored;
};

// Those of a group of weights, numbered through, all for the same rows of A. See experts.cuh for others.
template <typename Shape, typename Group>
class Items {
 public:
  // Whether they are found on the device.
  static constexpr bool kOfExperts = false;
  __host__ __device__ static constexpr int bytes(const SkinnySplit&) { return 0; }
  static constexpr int most_sets(const Group& p) {
    return (p.row_blocks + Shape::kBlocks - 1) / Shape::kBlocks;
  }

  // Those of this block.
  const int first_set, end_set;

  __device__ Items(const Group& p, const SkinnySplit& split, uint8_t*)
      : first_set(first_of(split, static_cast<int>(blockIdx.x))),
        end_set(first_of(split, static_cast<int>(blockIdx.x) + 1)),
        p_(p) {}

  __device__ SetSource source(int set) const {
    const int row_block = set * Shape::kBlocks, weight = p_.weight_of(row_block);
    return {weight, row_block - p_.first_of(weight)};
  }
  __device__ SumTarget target(int set, int row, int token) const {
    const int weight = p_.weight_of(set * Shape::kBlocks);
    const int n = set * Shape::kRows + row - p_.first_of(weight) * kTileRows;
    return {weight, token, n, n, n < p_.weights[weight].n};
  }
  // Those for the rows of A of a set.
  template <typename Activations>
  __device__ const Activations& turned(const Activations& activations, int) const {
    return activations;
  }

 private:
  __device__ static int first_of(const SkinnySplit& split, int block) {
    return static_cast<int>(static_cast<int64_t>(split.sets) * block / split.blocks);
  }

  const Group& p_;
};

}  // namespace qutlass::cuda
