// The values of codes, rounded once.
#pragma once

#include <cstdint>

#include "cuda/data/chunk.cuh"
#include "numerics/quantized.h"

namespace qutlass::cuda {

// Where float32 neither overflows nor loses bits.
__device__ inline bool is_ordinary(float x) { return fabsf(x) >= 0x1p-100f && fabsf(x) <= 0x1p120f; }

__device__ inline float narrow(double value, bool to_odd) {
  return to_odd ? round_to_odd(value) : static_cast<float>(value);
}

// Rare, and long: inlined for every element, it would take most of the time to compile this file.
__device__ __noinline__ static float exact_value(float element, float scale, double divisor, bool to_odd) {
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

__device__ inline GroupDecoder group_decoder(const qutlass_quantized& q, int64_t at, bool to_odd) {
  const int64_t row = quotient(at, q.cols), col = at - row * q.cols;
  return GroupDecoder(q, quotient(row, group_rows(q)), quotient(col, group_cols(q)), to_odd);
}

__device__ __noinline__ static float dequantize_one(const qutlass_quantized& q, float element, int64_t at,
                                                    bool to_odd) {
  return group_decoder(q, at, to_odd)(element);
}

// The values of a chunk of codes. table: of the element.
__device__ inline void dequantize_chunk(const qutlass_quantized& q, const float* table, int64_t offset,
                                        int count, bool to_odd, float (&values)[kChunk]) {
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

// The values of all byte codes of an element, by all threads of a block; codes of fewer bits repeat. The
// caller synchronizes.
__device__ inline void fill_table(int32_t element, float* table) {
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    table[i] = decode_element(element, static_cast<uint8_t>(i));
}

}  // namespace qutlass::cuda
