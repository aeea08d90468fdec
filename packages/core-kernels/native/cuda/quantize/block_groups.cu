// Quantization where a group fills a thread block, a row or a square, or more than one.
#include <algorithm>

#include "cuda/quantize/quantize.cuh"

namespace qutlass::cuda {
namespace {

struct BlockJob {
  qutlass_tensor x;
  Rotation rotation;
  qutlass_quantized out;
  Spans spans;
  const GroupScale* scales;  // of the parts; null: each span is a group, whose scale is found here
};

// The scale of a span that is one group.
template <int kChunks>
__device__ GroupScale span_scale(const qutlass_quantized& out, const Span& span,
                                 const float (&x)[kChunks][kChunk]) {
  GroupRange range;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) range.add(range_of(x[c]));
  const GroupScale scale = scale_from_range(out.format, block_range(range), load_global_scale(out));
  if (threadIdx.x == 0) {
    const int64_t groups = scale_cols(out), row = quotient(span.part, groups);
    store_group_scale(out, row, span.part - row * groups, scale);
  }
  return scale;
}

template <RotateBy kBy, int kChunks>
__global__ void __launch_bounds__(kMostThreads) block_groups_kernel(BlockJob job) {
  extern __shared__ uint4 shared[];
  const RotationMemory memory = prepare_rotation<kBy>(job.rotation, shared);
  for (int64_t index = blockIdx.x; index < job.spans.count(); index += gridDim.x) {
    const Span span = job.spans.at(index);
    float x[kChunks][kChunk];
    load_rotated<kBy>(job.x.data, job.x.dtype, span, job.rotation, memory, x);
    const GroupScale scale = job.scales ? job.scales[span.part] : span_scale(job.out, span, x);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const int position = chunk_position(c), count = span.count(position);
      if (count)
        store_codes(job.out, span.offset(position), count, encode_chunk(job.out.format, scale, x[c]));
    }
  }
}

// How much a thread and a block hold.
struct Shape {
  int chunks, threads;

  int32_t length() const { return chunks * threads * kChunk; }
};

template <RotateBy kBy, int kChunks>
void launch(cudaStream_t s, const BlockJob& job, int threads) {
  const size_t bytes = rotation_bytes(kBy, job.rotation.size, job.spans.length);
  allow_shared_memory(block_groups_kernel<kBy, kChunks>, bytes);
  block_groups_kernel<kBy, kChunks><<<span_blocks(kBy, job.spans.count()), threads, bytes, s>>>(job);
}

template <RotateBy kBy>
void launch(cudaStream_t s, const BlockJob& job, const Shape& shape) {
  if constexpr (kBy == RotateBy::kBlock) {
    launch<kBy, 4>(s, job, shape.threads);
  } else {
    switch (shape.chunks) {
      case 1: return launch<kBy, 1>(s, job, shape.threads);
      case 4: return launch<kBy, 4>(s, job, shape.threads);
      default: return launch<kBy, 8>(s, job, shape.threads);
    }
  }
}

void launch(cudaStream_t s, const QuantizeJob& job, Spans spans, const Shape& shape,
            const GroupScale* scales) {
  spans.length = shape.length();
  const BlockJob block{job.x, kernel_rotation(job.rotation), job.out, spans, scales};
  switch (rotate_by(job.rotation)) {
    case RotateBy::kLanes: return launch<RotateBy::kLanes>(s, block, shape);
    case RotateBy::kBlock: return launch<RotateBy::kBlock>(s, block, shape);
    case RotateBy::kMatrix: return launch<RotateBy::kMatrix>(s, block, shape);
    default: return launch<RotateBy::kNothing>(s, block, shape);
  }
}

// Products by a matrix take, and large Hadamard matrices up to there divide, spans of a multiple of this.
constexpr int kWholeTiles = 2048;

bool in_shared_memory(RotateBy by) { return by == RotateBy::kBlock || by == RotateBy::kMatrix; }

}  // namespace

bool row_fits_block(const QuantizeJob& job) {
  return job.out.cols <= (in_shared_memory(rotate_by(job.rotation)) ? 4 : 8) * kMostThreads * kChunk;
}

void enqueue_rows(cudaStream_t s, const QuantizeJob& job) {
  constexpr int64_t kFewRows = 256;  // to be spread over as many threads as possible
  const int64_t rows = job.out.rows, cols = job.out.cols;
  const RotateBy by = rotate_by(job.rotation);
  int chunks = cols > 4 * kMostThreads * kChunk ? 8 : 4;
  if (rows < kFewRows && cols <= kMostThreads * kChunk && by != RotateBy::kBlock) chunks = 1;
  const int step = in_shared_memory(by) ? kWholeTiles / (chunks * kChunk) : 32;
  const auto steps = static_cast<int>(ceil_div(cols, step * chunks * kChunk));
  launch(s, job, {rows, cols, 0, 0, 0}, {chunks, steps * step}, nullptr);
}

void enqueue_squares(cudaStream_t s, const QuantizeJob& job) {
  constexpr int kChunks = 8;
  const Shape shape{kChunks, kSquare * kSquare / (kChunks * kChunk)};
  launch(s, job, {0, 0, job.out.rows, job.out.cols, 0}, shape, nullptr);
}

void enqueue_long_groups(cudaStream_t s, const QuantizeJob& job, int64_t elements, const GroupScale* scales) {
  const int64_t groups = job.out.rows * job.out.cols / elements;
  const bool large = rotate_by(job.rotation) == RotateBy::kBlock;
  const int threads = large ? std::max(256, job.rotation.size / (4 * kChunk)) : 256;
  launch(s, job, {groups, elements, 0, 0, 0}, {4, threads}, scales);
}

}  // namespace qutlass::cuda
