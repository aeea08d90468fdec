// The first step of the ranges of long groups, of any input.
#pragma once

#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/quantize/group.cuh"
#include "cuda/quantize/ranges.h"
#include "cuda/quantize/rotation.cuh"
#include "launch.h"

namespace qutlass::cuda {

// Where the one block that there is leaves a global scale, in the place of a range; or null.
struct NvScale {
  int32_t rule;
  float* out;
};

template <typename Input, typename Spans>
struct RangesJob {
  Input in;
  Rotation rotation;
  Spans spans;
  int64_t groups, spans_per_group, blocks_per_group;
  NonFinite non_finite;
  bool symmetric;
  GroupRange* partial;
  NvScale nv;
};

// Groups of `spans_per_group` spans that follow each other, blocks_per_group for each.
template <RotateBy kBy, typename Input, typename Spans>
__global__ void __launch_bounds__(kMostThreads)
    partial_ranges_kernel(const __grid_constant__ RangesJob<Input, Spans> job) {
  await_dependency();
  constexpr int kTiles = kTilesBy<kBy>;
  Rotator<kBy> rotator(job.rotation);
  const int64_t group = quotient(blockIdx.x, job.blocks_per_group);
  const int64_t begin = group * job.spans_per_group, end = begin + job.spans_per_group;
  GroupRange range;
  for (int64_t i = begin + blockIdx.x - group * job.blocks_per_group; i < end; i += job.blocks_per_group) {
    float values[kTiles][kTile];
    rotator.load(job.in, job.spans.at(i), values);
    if (i + job.blocks_per_group < end) rotator.prefetch(job.in, job.spans.at(i + job.blocks_per_group));
    if (job.non_finite == NonFinite::kIgnore) {
#pragma unroll
      for (int i = 0; i < kTiles * kTile; ++i) {
        float& value = values[i / kTile][i % kTile];
        value = fabsf(value) <= FLT_MAX ? value : 0.0f;
      }
    }
    range.add(range_of<kTiles * kTile>(values[0], job.symmetric));
  }
  range = block_range(range);
  if (threadIdx.x != 0) return;
  if (job.nv.out) {
    *job.nv.out = nv_global_scale(job.nv.rule, range.amax());
  } else {
    job.partial[blockIdx.x] = range;
  }
}

template <RotateBy kBy, typename Input, typename Spans>
void launch_ranges(CudaStream& s, const RangesJob<Input, Spans>& job, int threads) {
  const int bytes = rotation_bytes<kBy, Input>(job.spans.length());
  constexpr auto* kKernel = partial_ranges_kernel<kBy, Input, Spans>;
  allow_shared_memory<kKernel>(bytes);
  const auto blocks = static_cast<unsigned>(job.groups * job.blocks_per_group);
  launch_dependent(s, kKernel, {blocks, static_cast<unsigned>(threads), static_cast<size_t>(bytes)}, job);
}

}  // namespace qutlass::cuda
