// Codes back to values, rounded once, and rotated back if asked for.
#include <algorithm>

#include "check.h"
#include "cuda/data/chunk.cuh"
#include "cuda/operations.h"
#include "cuda/quantize/rotation.cuh"
#include "cuda_stream.h"
#include "numerics/quantized.h"
#include "scratch.h"

namespace qutlass::cuda {
namespace {

// Where float32 neither overflows nor loses bits.
__device__ bool is_ordinary(float x) { return fabsf(x) >= 0x1p-100f && fabsf(x) <= 0x1p120f; }

__device__ float narrow(double value, bool to_odd) {
  return to_odd ? round_to_odd(value) : static_cast<float>(value);
}

// Rare, and long: inlined for every element, it would take most of the time to compile this file.
__device__ __noinline__ float exact_value(float element, float scale, double divisor, bool to_odd) {
  return narrow(static_cast<double>(element) * scale / divisor, to_odd);
}

// The value of codes of one group, (code - zero point) * scale / global scale, as the float32 that rounds to
// the output as the exact value does. Without double arithmetic per element, which most GPUs have little of.
class GroupDecoder {
 public:
  // to_odd: the output is narrower than float32.
  __device__ GroupDecoder(const qutlass_quantized& q, int64_t row, int64_t group, bool to_odd)
      : scale_(load_scale(q, scale_offset(q, row, group))),
        zero_point_(static_cast<float>(load_zero_point(q, row, group))),
        global_scale_(q.global_scale),
        to_odd_(to_odd) {
    if (!global_scale_) return;
    // e2m1 is 1 or 1.5 times a power of two, and 0: two quotients are enough.
    one_ = narrow(static_cast<double>(scale_) / *global_scale_, to_odd);
    one_and_half_ = narrow(1.5 * scale_ / *global_scale_, to_odd);
  }

  // element: the value of the code.
  __device__ float operator()(float element) const {
    const float value = global_scale_ ? quotient_of(element) : product_of(element);
    return value == value ? value : __uint_as_float(0x7FC00000u);
  }

 private:
  __device__ float quotient_of(float element) const {
    const uint32_t bits = __float_as_uint(element);
    const float unit = bits & 0x400000u ? one_and_half_ : one_;
    if (is_ordinary(unit)) return unit * __uint_as_float(bits & 0xFF800000u);
    return exact_value(element, scale_, *global_scale_, to_odd_);
  }

  __device__ float product_of(float element) const {
    const float code = element - zero_point_, product = code * scale_;
    if (!to_odd_ || code == 0) return product;
    if (!is_ordinary(product)) return exact_value(code, scale_, 1, true);
    const float error = fmaf(code, scale_, -product);
    if (error == 0) return product;
    const uint32_t bits = __float_as_uint(product);
    const bool away = (error < 0) == (product > 0);
    return __uint_as_float((away ? bits - 1 : bits) | 1u);
  }

  float scale_, zero_point_;
  const float* global_scale_;
  bool to_odd_;
  float one_ = 0, one_and_half_ = 0;
};

__device__ GroupDecoder group_decoder(const qutlass_quantized& q, int64_t at, bool to_odd) {
  const int64_t row = quotient(at, q.cols), col = at - row * q.cols;
  return GroupDecoder(q, quotient(row, group_rows(q)), quotient(col, group_cols(q)), to_odd);
}

__device__ __noinline__ float dequantize_one(const qutlass_quantized& q, float element, int64_t at,
                                             bool to_odd) {
  return group_decoder(q, at, to_odd)(element);
}

// The values of a chunk of codes. table: of the element.
__device__ void dequantize_chunk(const qutlass_quantized& q, const float* table, int64_t offset, int count,
                                 bool to_odd, float (&values)[kChunk]) {
  const bool packed = element_storage_bits(q.format.element) == 4;
  const auto* codes = static_cast<const uint8_t*>(q.codes);
  const uint64_t bytes =
      packed ? unpack_nibbles(static_cast<uint32_t>(load_bytes(codes + offset / 2, count / 2)))
             : load_bytes(codes + offset, count);
  const auto element = [&](int i) { return table[bytes >> (8 * i) & 0xFF]; };
  // A chunk lies in one group, unless rows are groups and do not consist of chunks.
  if (q.cols % kChunk == 0 || q.format.group_rows == 0) {
    const GroupDecoder decode = group_decoder(q, offset, to_odd);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) values[i] = i < count ? decode(element(i)) : 0.0f;
  } else {
#pragma unroll
    for (int i = 0; i < kChunk; ++i)
      values[i] = i < count ? dequantize_one(q, element(i), offset + i, to_odd) : 0.0f;
  }
}

// The values of all byte codes of an element; codes of fewer bits repeat.
__device__ void fill_table(int32_t element, float* table) {
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    table[i] = decode_element(element, static_cast<uint8_t>(i));
  __syncthreads();
}

__global__ void __launch_bounds__(kChunkThreads) dequantize_kernel(qutlass_quantized q, qutlass_tensor out) {
  __shared__ float table[256];
  fill_table(q.format.element, table);
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
