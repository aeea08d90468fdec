#include "cuda/quantize/ranges.h"

#include <algorithm>

#include "check.h"
#include "cuda/quantize/combine.cuh"
#include "cuda/quantize/ranges.cuh"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256;
// So few spans that one block goes through them in less time than it takes to combine the results of several.
constexpr int64_t kFewSpans = 4;

__global__ void __launch_bounds__(kThreads)
    global_scale_kernel(const GroupRange* partial, int64_t count, int32_t rule, float* out) {
  await_dependency();
  const GroupRange range = combine_ranges(partial, count);
  if (threadIdx.x == 0) *out = nv_global_scale(rule, range.amax());
}

int threads_of(const qutlass_rotation& rotation) {
  const bool large = rotate_by(rotation) == RotateBy::kBlock;
  return large ? std::max(kThreads, rotation.size / (kTilesBy<RotateBy::kBlock> * kTile)) : kThreads;
}

Spans spans_of(const LongGroups& x) {
  int tiles = 0;
  with_rotation(x.rotation, [&](auto constant) { tiles = kTilesBy<constant()>; });
  return Spans(x.groups, x.elements, threads_of(x.rotation) * tiles * kTile);
}

void launch(CudaStream& s, const LongGroups& x, int64_t blocks_per_group, NonFinite non_finite,
            bool symmetric, GroupRange* partial, NvScale nv) {
  const Spans spans = spans_of(x);
  const RangesJob<DenseInput, Spans> job{{x.x},
                                         kernel_rotation(x.rotation),
                                         spans,
                                         x.groups,
                                         spans.per_part(),
                                         blocks_per_group,
                                         non_finite,
                                         symmetric,
                                         partial,
                                         nv};
  with_rotation(x.rotation,
                [&](auto constant) { launch_ranges<constant()>(s, job, threads_of(x.rotation)); });
}

}  // namespace

int64_t LongGroups::blocks_per_group() const {
  return std::min(spans_of(*this).per_part(), std::max<int64_t>(1, kRangeBlocks / groups));
}

void enqueue_partial_ranges(CudaStream& s, const LongGroups& x, NonFinite non_finite, bool symmetric,
                            GroupRange* partial) {
  launch(s, x, x.blocks_per_group(), non_finite, symmetric, partial, {});
}

void enqueue_combined_nv_scale(CudaStream& s, const GroupRange* partial, int64_t count, int32_t rule,
                               float* out) {
  launch_dependent(s, global_scale_kernel, {1, kThreads}, partial, count, rule, out);
}

void enqueue_nv_global_scale(CudaStream& s, const LongGroups& x, GroupRange* partial, int32_t rule,
                             float* out) {
  if (spans_of(x).per_part() <= kFewSpans)
    return launch(s, x, 1, NonFinite::kIgnore, true, partial, {rule, out});
  launch(s, x, x.blocks_per_group(), NonFinite::kIgnore, true, partial, {});
  enqueue_combined_nv_scale(s, partial, x.partial_ranges(), rule, out);
}

}  // namespace qutlass::cuda
