// Codes back to values, rounded once, and rotated back if asked for.
#include <algorithm>

#include "check.h"
#include "cuda/operations.h"
#include "cuda/quantize/dequantize.cuh"
#include "cuda/quantize/rotation.cuh"
#include "cuda_stream.h"
#include "scratch.h"

namespace qutlass::cuda {
namespace {

__global__ void __launch_bounds__(kChunkThreads) dequantize_kernel(qutlass_quantized q, qutlass_tensor out) {
  __shared__ float table[256];
  fill_table(q.format.element, table);
  __syncthreads();
  const int64_t offset = chunk_offset();
  const int count = chunk_count(offset, q.rows * q.cols);
  if (count == 0) return;
  float values[kChunk];
  dequantize_chunk(q, table, offset, count, out.dtype != QUTLASS_F32, values);
  store_chunk(out.data, out.dtype, offset, count, values);
}

void enqueue_dequantize(cudaStream_t s, const qutlass_quantized& q, Tensor out) {
  dequantize_kernel<<<chunk_blocks(q.rows * q.cols), kChunkThreads, 0, s>>>(q, out);
}

// ---- back through a Hadamard matrix: out = values @ S * factor * signs

constexpr int kThreads = 256, kChunks = 4;

template <RotateBy kBy>
__global__ void __launch_bounds__(kMostThreads)
    unrotate_kernel(qutlass_quantized q, Rotation rotation, float factor, Spans spans, qutlass_tensor out) {
  extern __shared__ uint4 shared[];
  __shared__ float table[256];
  fill_table(q.format.element, table);
  __syncthreads();
  const Span span = spans.at(blockIdx.x);
  float values[kChunks][kChunk];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int position = held_position<kChunks, kChunk>(c), count = span.count(position, kChunk);
    if (count) {
      dequantize_chunk(q, table, span.offset(position), count, false, values[c]);
    } else {
      for (float& value : values[c]) value = 0;
    }
  }
  if constexpr (kBy == RotateBy::kBlock) {
    sylvester_block(values, rotation.size, 1, reinterpret_cast<float*>(shared));
  } else {
    sylvester_lanes(values, rotation.size, 1);
  }
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int position = held_position<kChunks, kChunk>(c);
    multiply_signs(rotation, position, factor, values[c]);
    store_chunk(out.data, out.dtype, span.offset(position), span.count(position, kChunk), values[c]);
  }
}

template <RotateBy kBy>
void enqueue_unrotate(cudaStream_t s, const qutlass_quantized& q, const qutlass_rotation& rotation,
                      Tensor out) {
  const int threads =
      kBy == RotateBy::kBlock ? std::max(kThreads, rotation.size / (kChunks * kChunk)) : kThreads;
  const Spans spans(1, q.rows * q.cols, threads * kChunks * kChunk);
  const int bytes = rotation_bytes<kBy>(spans.length());
  allow_shared_memory<unrotate_kernel<kBy>>(bytes);
  // entry / gain, the gain being size * entry^2
  const auto factor =
      static_cast<float>(1 / (static_cast<double>(rotation.size) * hadamard_entry(rotation.size)));
  unrotate_kernel<kBy><<<static_cast<unsigned>(spans.count()), threads, bytes, s>>>(
      q, kernel_rotation(rotation), factor, spans, out);
}

}  // namespace

void dequantize(Stream stream, const qutlass_quantized& q, const qutlass_rotation& rotation, Tensor out) {
  const bool by_matrix = rotation.kind == QUTLASS_ROTATION_MATRIX;
  qutlass_tensor values = out;
  values.dtype = QUTLASS_F32;
  const DeviceScratch memory(stream.device,
                             by_matrix ? static_cast<size_t>(q.rows * q.cols) * sizeof(float) : 0);
  const DeviceScratch gain(stream.device, by_matrix ? sizeof(double) : 0);
  values.data = memory.as<void>();
  cuda_stream(stream).run("dequantize",
                          {q.codes, q.scales, q.zero_points, q.global_scale, rotation.data, out.data,
                           memory.as<void>(), gain.as<void>()},
                          [&](cudaStream_t s) {
                            if (by_matrix) {
                              enqueue_dequantize(s, q, values);
                              return enqueue_unrotate_matrix(s, values, rotation, gain.as<double>(), out);
                            }
                            switch (rotate_by(rotation)) {
                              case RotateBy::kLanes:
                                return enqueue_unrotate<RotateBy::kLanes>(s, q, rotation, out);
                              case RotateBy::kBlock:
                                return enqueue_unrotate<RotateBy::kBlock>(s, q, rotation, out);
                              default: return enqueue_dequantize(s, q, out);
                            }
                          });
}

}  // namespace qutlass::cuda
