// Which rows of A each expert of a product has, as an argument of kernels.
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// Rows offsets[e] to offsets[e + 1] of `rows` belong to expert e. Whatever the offsets are, an expert begins
// where the one before it ends: an offset counts as the largest so far, from 0 to `rows`.
struct ExpertRows {
  const int32_t* offsets;  // [experts + 1]
  int experts, rows;

  // Passes of at most `size` rows of one expert that there can be.
  int64_t most_passes(int size) const {
    const int64_t all = rows;
    return (all + (all < experts ? all : experts) * (size - 1)) / size;
  }
};

}  // namespace qutlass::cuda
