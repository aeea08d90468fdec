// The entries of Hadamard matrices, and the rounding of what they are multiplied with.
#pragma once

#include <cmath>
#include <cstdint>

#include "numerics/dense.h"
#include "numerics/host_device.h"

namespace qutlass {

QUTLASS_HD inline float round_to_bf16(float x) { return bf16_to_f32(f32_to_bf16(x)); }

// The magnitude of the entries of a Hadamard matrix that is orthogonal but for the rounding to bfloat16.
inline float hadamard_entry(int32_t size) {
  return round_to_bf16(static_cast<float>(1 / std::sqrt(static_cast<double>(size))));
}

}  // namespace qutlass
