#include "cuda/quantize/ranges.h"

#include <algorithm>

#include "check.h"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/quantize/combine.cuh"
#include "cuda/quantize/rotation.cuh"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256;
// Enough blocks for any GPU, and few enough for whoever combines their results; each goes through several
// spans.
constexpr int64_t kBlocks = 528;
// So few spans that one block goes through them in less time than it takes to combine the results of several.
constexpr int64_t kFewSpans = 4;

// Where the one block that there is leaves a global scale, in the place of a range; or null.
struct NvScale {
  int32_t rule;
  float* out;
};

template <RotateBy kBy>
__global__ void __launch_bounds__(kMostThreads)
    partial_ranges_kernel(DenseInput x, Rotation rotation, Spans spans, int64_t blocks_per_group,
                          NonFinite non_finite, bool symmetric, GroupRange* partial, NvScale nv) {
  await_dependency();
  extern __shared__ uint4 shared[];
  constexpr int kTiles = kTilesBy<kBy>;
  Rotator<kBy> rotator(rotation, shared);
  const int64_t group = quotient(blockIdx.x, blocks_per_group), first = blockIdx.x - group * blocks_per_group;
  GroupRange range;
  for (int64_t i = first; i < spans.per_part(); i += blocks_per_group) {
    float values[kTiles][kTile];
    rotator.load(x, spans.at(group * spans.per_part() + i), values);
    if (i + blocks_per_group < spans.per_part())
      rotator.prefetch(x, spans.at(group * spans.per_part() + i + blocks_per_group));
    if (non_finite == NonFinite::kIgnore) {
#pragma unroll
      for (int i = 0; i < kTiles * kTile; ++i) {
        float& value = values[i / kTile][i % kTile];
        value = fabsf(value) <= FLT_MAX ? value : 0.0f;
      }
    }
    range.add(range_of<kTiles * kTile>(values[0], symmetric));
  }
  range = block_range(range);
  if (threadIdx.x != 0) return;
  if (nv.out) {
    *nv.out = nv_global_scale(nv.rule, range.amax());
  } else {
    partial[blockIdx.x] = range;
  }
}

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

struct Job {
  LongGroups x;
  Spans spans;
  int64_t blocks_per_group;
  NonFinite non_finite;
  bool symmetric;
  GroupRange* partial;
  NvScale nv;
};

template <RotateBy kBy>
void launch(CudaStream& s, const Job& job) {
  const int bytes = rotation_bytes<kBy>(job.spans.length());
  allow_shared_memory<partial_ranges_kernel<kBy>>(bytes);
  const auto blocks = static_cast<unsigned>(job.x.groups * job.blocks_per_group);
  launch_dependent(s, partial_ranges_kernel<kBy>,
                   {blocks, static_cast<unsigned>(threads_of(job.x.rotation)), static_cast<size_t>(bytes)},
                   DenseInput{job.x.x}, kernel_rotation(job.x.rotation), job.spans, job.blocks_per_group,
                   job.non_finite, job.symmetric, job.partial, job.nv);
}

void launch(CudaStream& s, const Job& job) {
  with_rotation(job.x.rotation, [&](auto constant) { launch<constant()>(s, job); });
}

}  // namespace

int64_t LongGroups::blocks_per_group() const {
  return std::min(spans_of(*this).per_part(), std::max<int64_t>(1, kBlocks / groups));
}

void enqueue_partial_ranges(CudaStream& s, const LongGroups& x, NonFinite non_finite, bool symmetric,
                            GroupRange* partial) {
  launch(s, {x, spans_of(x), x.blocks_per_group(), non_finite, symmetric, partial, {}});
}

void enqueue_nv_global_scale(CudaStream& s, const LongGroups& x, GroupRange* partial, int32_t rule,
                             float* out) {
  const Spans spans = spans_of(x);
  if (spans.per_part() <= kFewSpans)
    return launch(s, {x, spans, 1, NonFinite::kIgnore, true, partial, {rule, out}});
  launch(s, {x, spans, x.blocks_per_group(), NonFinite::kIgnore, true, partial, {}});
  launch_dependent(s, global_scale_kernel, {1, kThreads}, partial, x.partial_ranges(), rule, out);
}

}  // namespace qutlass::cuda
