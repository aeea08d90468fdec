// An operand [rows, K] of a matrix multiplication as kernels see it, dense or quantized.
#pragma once

#include <cstdint>

#include "numerics/quantized.h"

namespace qutlass::cuda {

// What the elements in memory are.
enum class Kind : int32_t { kF32, kBF16, kF16, kE2M1, kE4M3, kE5M2, kInt8, kInt4, kUint4, kNf4 };

template <Kind kKind>
struct KindConstant {
  static constexpr Kind value = kKind;
};

constexpr int bits_of(Kind kind) {
  switch (kind) {
    case Kind::kF32: return 32;
    case Kind::kBF16:
    case Kind::kF16: return 16;
    case Kind::kE4M3:
    case Kind::kE5M2:
    case Kind::kInt8: return 8;
    default: return 4;
  }
}

constexpr bool is_dense(Kind kind) { return kind == Kind::kF32 || kind == Kind::kBF16 || kind == Kind::kF16; }
constexpr bool is_integer(Kind kind) {
  return kind == Kind::kInt8 || kind == Kind::kInt4 || kind == Kind::kUint4;
}

// What codes of this kind are called in the C ABI.
constexpr int32_t element_of(Kind kind) {
  switch (kind) {
    case Kind::kE2M1: return QUTLASS_E2M1;
    case Kind::kE4M3: return QUTLASS_E4M3;
    case Kind::kE5M2: return QUTLASS_E5M2;
    case Kind::kInt8: return QUTLASS_INT8;
    case Kind::kInt4: return QUTLASS_INT4;
    case Kind::kUint4: return QUTLASS_UINT4;
    default: return QUTLASS_NF4;
  }
}

struct Operand {
  const uint8_t* data;
  const void* scales;         // null when dense
  const void* zero_points;    // or null
  const float* global_scale;  // or null
  Kind kind;
  int32_t rows, cols;
  int32_t groups;  // along a row
  int32_t scale_dtype;
  // Row `row` and column k have the scale (row >> row_shift, k >> group_shift).
  int32_t row_shift, group_shift;
  int64_t row_bytes;
  bool blocked_scales;
  bool aligned;  // rows start at multiples of 16 bytes
};

// The group of column k; columns beyond the end belong to the last one.
__device__ inline int group_at(const Operand& x, int k) { return min(k >> x.group_shift, x.groups - 1); }

// The bits of a scale; decode_scale turns them into its value, so that a load can be far ahead of its use.
__device__ inline uint32_t load_scale_bits(const Operand& x, int row, int group) {
  const int r = row >> x.row_shift;
  const int64_t i =
      x.blocked_scales ? blocked_offset(r, group, x.groups) : static_cast<int64_t>(r) * x.groups + group;
  switch (x.scale_dtype) {
    case QUTLASS_F32: return __ldg(static_cast<const uint32_t*>(x.scales) + i);
    case QUTLASS_BF16:
    case QUTLASS_F16: return __ldg(static_cast<const uint16_t*>(x.scales) + i);
    default: return __ldg(static_cast<const uint8_t*>(x.scales) + i);
  }
}

__device__ inline float decode_scale(const Operand& x, uint32_t bits) {
  switch (x.scale_dtype) {
    case QUTLASS_F32: return __uint_as_float(bits);
    case QUTLASS_BF16: return bf16_to_f32(static_cast<uint16_t>(bits));
    case QUTLASS_F16: return f16_to_f32(static_cast<uint16_t>(bits));
    case QUTLASS_F8_E8M0: return decode_e8m0(static_cast<uint8_t>(bits));
    default: return E4M3::decode(bits, false);
  }
}

// Of an operand with zero points, which lie in rows whatever the layout of the scales.
__device__ inline int load_zero_point(const Operand& x, int row, int group) {
  const int64_t i = static_cast<int64_t>(row >> x.row_shift) * x.groups + group;
  return x.kind == Kind::kInt8 ? __ldg(static_cast<const int8_t*>(x.zero_points) + i)
                               : __ldg(static_cast<const uint8_t*>(x.zero_points) + i);
}

}  // namespace qutlass::cuda
