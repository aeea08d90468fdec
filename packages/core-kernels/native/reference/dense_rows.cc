#include "dense_rows.h"

#include <bit>
#include <cstring>

#include "cpu/vectorized.h"
#include "numerics/dense.h"

namespace qutlass {
namespace {

// The f16 conversions of numerics/dense.h, on the bits and without branches, so that the loops below become
// vector code. (Where the compiler cannot assume F16C, _Float16 is a function call per element.)

float f16_bits_to_f32(uint16_t half) {
  // The exponent field lands 112 too low; a multiplication corrects it for normal and subnormal numbers
  // alike.
  const float scaled = std::bit_cast<float>((half & 0x7FFFu) << 13) * 0x1p112f;
  const uint32_t special = (half & 0x7C00u) == 0x7C00u ? 0x7F800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | special | (half & 0x8000u) << 16);
}

uint16_t f32_to_f16_bits(float value) {
  const auto bits = std::bit_cast<int32_t>(value);
  const int32_t magnitude = bits & 0x7FFFFFFF;
  // A carry of the rounding runs into the exponent, up to infinity.
  const int32_t normal = (magnitude - (112 << 23) + 0xFFF + ((magnitude >> 13) & 1)) >> 13;
  // The last bit of 0.5f is worth 2^-24, the subnormal step of f16, so this addition rounds to it.
  const int32_t subnormal = std::bit_cast<int32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000;
  int32_t half = magnitude < 0x38800000 ? subnormal : normal;  // 2^-14
  half = magnitude >= 0x47800000 ? 0x7C00 : half;              // 2^16
  half = magnitude > 0x7F800000 ? 0x7E00 : half;               // NaN
  return static_cast<uint16_t>(half | ((bits >> 16) & 0x8000));
}

}  // namespace

const float* load_row(const qutlass_tensor& tensor, int64_t offset, int64_t count, float* buffer) {
  if (tensor.dtype == QUTLASS_F32) return static_cast<const float*>(tensor.data) + offset;
  const uint16_t* source = static_cast<const uint16_t*>(tensor.data) + offset;
  if (tensor.dtype == QUTLASS_BF16) {
    vectorized([=] {
      for (int64_t i = 0; i < count; ++i) buffer[i] = bf16_to_f32(source[i]);
    });
  } else {
    vectorized([=] {
      for (int64_t i = 0; i < count; ++i) buffer[i] = f16_bits_to_f32(source[i]);
    });
  }
  return buffer;
}

void store_row(const float* values, const qutlass_tensor& tensor, int64_t offset, int64_t count) {
  if (tensor.dtype == QUTLASS_F32) {
    std::memcpy(static_cast<float*>(tensor.data) + offset, values,
                static_cast<size_t>(count) * sizeof(float));
    return;
  }
  uint16_t* target = static_cast<uint16_t*>(tensor.data) + offset;
  if (tensor.dtype == QUTLASS_BF16) {
    vectorized([=] {
      for (int64_t i = 0; i < count; ++i) target[i] = f32_to_bf16(values[i]);
    });
  } else {
    vectorized([=] {
      for (int64_t i = 0; i < count; ++i) target[i] = f32_to_f16_bits(values[i]);
    });
  }
}

}  // namespace qutlass
