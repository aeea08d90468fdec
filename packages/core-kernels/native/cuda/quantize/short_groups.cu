// Quantization in groups of 16 to 128 elements of a row, which lie in neighbouring lanes: one pass over the
// matrix.
#include <algorithm>

#include "cuda/quantize/quantize.cuh"

namespace qutlass::cuda {
namespace {

// Large Hadamard matrices take large blocks. Else it is blocks enough to hide the latency of memory.
template <RotateBy kBy>
constexpr int kChunks = kBy == RotateBy::kBlock ? 4 : 2;
template <RotateBy kBy>
constexpr int kThreads = kBy == RotateBy::kBlock ? kMostThreads : 256;

// The scale of the group that starts at this offset.
__device__ void store_short_scale(const qutlass_quantized& out, int64_t offset, const GroupScale& scale) {
  const int64_t group = offset >> (31 - __clz(out.format.group_cols));
  int64_t at = group;
  if (out.scale_layout == QUTLASS_SCALES_BLOCKED_128X4) {
    const int64_t groups = scale_cols(out), row = quotient(group, groups);
    at = blocked_offset(row, group - row * groups, groups);
  }
  store_scale(out, at, scale.scale);
  if (out.zero_points) static_cast<uint8_t*>(out.zero_points)[group] = static_cast<uint8_t>(scale.zero_point);
}

template <RotateBy kBy>
__global__ void __launch_bounds__(kThreads<kBy>, kBy == RotateBy::kBlock ? 1 : 3)
    short_groups_kernel(qutlass_tensor in, Rotation rotation, qutlass_quantized out, Spans spans) {
  extern __shared__ uint4 shared[];
  const RotationMemory memory = prepare_rotation<kBy>(rotation, shared);
  const float global_scale = load_global_scale(out);
  const bool leads = threadIdx.x % (out.format.group_cols / kChunk) == 0;
  for (int64_t index = blockIdx.x; index < spans.count(); index += gridDim.x) {
    const Span span = spans.at(index);
    float x[kChunks<kBy>][kChunk];
    load_rotated<kBy>(in.data, in.dtype, span, rotation, memory, x);
#pragma unroll
    for (int c = 0; c < kChunks<kBy>; ++c) {
      const GroupScale scale = lanes_scale(out.format, x[c], global_scale);
      const int position = chunk_position(c), count = span.count(position);
      if (count == 0) continue;
      const int64_t offset = span.offset(position);
      if (leads) store_short_scale(out, offset, scale);
      store_codes(out, offset, count, encode_chunk(out.format, scale, x[c]));
      if (out.clip_mask) out.clip_mask[offset / kChunk] = clip_mask_chunk(scale, x[c]);
    }
  }
}

template <RotateBy kBy>
void launch(cudaStream_t s, const QuantizeJob& job) {
  constexpr int kHeld = kChunks<kBy> * kChunk;
  constexpr int64_t kSmall = 1 << 20;  // elements that would leave most of a GPU without work
  const int64_t elements = job.out.rows * job.out.cols;
  int threads = kThreads<kBy>;
  if (kBy == RotateBy::kBlock) threads = std::max(256, job.rotation.size / kHeld);
  // A warp holds whole rotations; products by a matrix take 2048 elements.
  if (kBy != RotateBy::kBlock && elements < kSmall) threads = kBy == RotateBy::kMatrix ? 128 : 64;
  const Spans spans{1, elements, 0, 0, threads * kHeld};
  const size_t bytes = rotation_bytes(kBy, job.rotation.size, spans.length);
  allow_shared_memory(short_groups_kernel<kBy>, bytes);
  short_groups_kernel<kBy><<<span_blocks(kBy, spans.count()), threads, bytes, s>>>(
      job.x, kernel_rotation(job.rotation), job.out, spans);
}

}  // namespace

void enqueue_short_groups(cudaStream_t s, const QuantizeJob& job) {
  switch (rotate_by(job.rotation)) {
    case RotateBy::kLanes: return launch<RotateBy::kLanes>(s, job);
    case RotateBy::kBlock: return launch<RotateBy::kBlock>(s, job);
    case RotateBy::kMatrix: return launch<RotateBy::kMatrix>(s, job);
    default: return launch<RotateBy::kNothing>(s, job);
  }
}

}  // namespace qutlass::cuda
