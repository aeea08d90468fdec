#include "cuda/quantize/ranges.h"

#include <algorithm>

#include "check.h"
#include "cuda/quantize/group.cuh"
#include "cuda/quantize/rotation.cuh"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256, kChunks = 4;
// Enough blocks for any GPU; then each goes through several spans.
constexpr int64_t kBlocks = 1024;

int threads_of(const qutlass_rotation& rotation) {
  const bool large = rotate_by(rotation) == RotateBy::kBlock;
  return large ? std::max(kThreads, rotation.size / (kChunks * kChunk)) : kThreads;
}

// finite_only: NaN and infinities do not count, so that they spoil their own group and not the scale of all
// others.
template <RotateBy kBy>
__global__ void __launch_bounds__(kMostThreads)
    partial_ranges_kernel(qutlass_tensor x, Rotation rotation, Spans spans, int64_t blocks_per_group,
                          bool finite_only, GroupRange* partial) {
  extern __shared__ uint4 shared[];
  const RotationMemory memory = prepare_rotation<kBy>(rotation, shared);
  const int64_t group = quotient(blockIdx.x, blocks_per_group), first = blockIdx.x - group * blocks_per_group;
  GroupRange range;
  for (int64_t i = first; i < spans.per_part(); i += blocks_per_group) {
    float values[kChunks][kChunk];
    load_rotated<kBy>(x.data, x.dtype, spans.at(group * spans.per_part() + i), rotation, memory, values);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
#pragma unroll
      for (int j = 0; j < kChunk; ++j) {
        const bool counts = !finite_only || fabsf(values[c][j]) <= FLT_MAX;
        range.add(counts ? values[c][j] : 0.0f);
      }
    }
  }
  range = block_range(range);
  if (threadIdx.x == 0) partial[blockIdx.x] = range;
}

__device__ GroupRange combine(const GroupRange* partial, int64_t count) {
  GroupRange range;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) range.add(partial[i]);
  return block_range(range);
}

__global__ void __launch_bounds__(kThreads) scales_kernel(const GroupRange* partial, int64_t blocks_per_group,
                                                          qutlass_quantized out, GroupScale* scales) {
  const int64_t group = blockIdx.x;
  const GroupRange range = combine(partial + group * blocks_per_group, blocks_per_group);
  if (threadIdx.x != 0) return;
  const GroupScale scale = scale_from_range(out.format, range, out.global_scale ? *out.global_scale : 1.0f);
  scales[group] = scale;
  store_group_scale(out, group, 0, scale);
}

__global__ void __launch_bounds__(kThreads)
    global_scale_kernel(const GroupRange* partial, int64_t count, int32_t rule, float* out) {
  const GroupRange range = combine(partial, count);
  if (threadIdx.x == 0) *out = nv_global_scale(rule, range.amax());
}

template <RotateBy kBy>
void launch(cudaStream_t s, const LongGroups& x, bool finite_only, GroupRange* partial) {
  const size_t bytes = rotation_bytes(kBy, x.rotation.size, x.spans().length);
  allow_shared_memory(partial_ranges_kernel<kBy>, bytes);
  partial_ranges_kernel<kBy><<<static_cast<unsigned>(x.partial_ranges()), threads_of(x.rotation), bytes, s>>>(
      x.x, kernel_rotation(x.rotation), x.spans(), x.blocks_per_group(), finite_only, partial);
}

void enqueue_partial_ranges(cudaStream_t s, const LongGroups& x, bool finite_only, GroupRange* partial) {
  switch (rotate_by(x.rotation)) {
    case RotateBy::kLanes: return launch<RotateBy::kLanes>(s, x, finite_only, partial);
    case RotateBy::kBlock: return launch<RotateBy::kBlock>(s, x, finite_only, partial);
    case RotateBy::kMatrix: return launch<RotateBy::kMatrix>(s, x, finite_only, partial);
    default: return launch<RotateBy::kNothing>(s, x, finite_only, partial);
  }
}

}  // namespace

Spans LongGroups::spans() const { return {groups, elements, 0, 0, threads_of(rotation) * kChunks * kChunk}; }

int64_t LongGroups::blocks_per_group() const {
  return std::min(spans().per_part(), std::max<int64_t>(1, kBlocks / groups));
}

void enqueue_long_group_scales(cudaStream_t s, const LongGroups& x, GroupRange* partial,
                               const qutlass_quantized& out, GroupScale* scales) {
  enqueue_partial_ranges(s, x, false, partial);
  scales_kernel<<<static_cast<unsigned>(x.groups), kThreads, 0, s>>>(partial, x.blocks_per_group(), out,
                                                                     scales);
}

void enqueue_nv_global_scale(cudaStream_t s, const LongGroups& x, GroupRange* partial, int32_t rule,
                             float* out) {
  enqueue_partial_ranges(s, x, true, partial);
  global_scale_kernel<<<1, kThreads, 0, s>>>(partial, x.partial_ranges(), rule, out);
}

}  // namespace qutlass::cuda
