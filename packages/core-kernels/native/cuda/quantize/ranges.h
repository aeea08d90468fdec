// The ranges of groups that no thread block can hold, in two steps: of what each block goes through, and of
// each group. Maxima do not depend on their order, so the results repeat.
#pragma once

#include <cuda_runtime.h>

#include "cuda/quantize/rotate.h"
#include "cuda_stream.h"
#include "numerics/group_scale.h"

namespace qutlass::cuda {

// Enough blocks for any GPU, and few enough for whoever combines their results; each goes through several
// spans.
inline constexpr int64_t kRangeBlocks = 528;

// Groups of `elements` that follow each other in x, rotated while it is read.
struct LongGroups {
  qutlass_tensor x;
  qutlass_rotation rotation;  // not one that takes a copy
  int64_t groups, elements;

  int64_t blocks_per_group() const;
  // Memory for the first step, in GroupRange.
  int64_t partial_ranges() const { return groups * blocks_per_group(); }
};

// What to do about NaN and infinities: they spoil their group, or, in a tensor with scales for smaller
// groups, do not count, so that they spoil their own group and not the scale of all others.
enum class NonFinite { kCount, kIgnore };

// The ranges of the parts of the groups, blocks_per_group() of each. symmetric: of the magnitudes.
void enqueue_partial_ranges(CudaStream& s, const LongGroups& x, NonFinite non_finite, bool symmetric,
                            GroupRange* partial);
// The global scale of an NV rule from the ranges of parts of a matrix.
void enqueue_combined_nv_scale(CudaStream& s, const GroupRange* partial, int64_t count, int32_t rule,
                               float* out);
// The same over the finite values of all elements; groups is 1.
void enqueue_nv_global_scale(CudaStream& s, const LongGroups& x, GroupRange* partial, int32_t rule,
                             float* out);

}  // namespace qutlass::cuda
