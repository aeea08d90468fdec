#pragma once

namespace qutlass::cuda {

// Through the mantissa, which is faster than the conversion.
__device__ inline double int_to_double(int x) {
  return __hiloint2double(0x43300000, x ^ static_cast<int>(0x80000000u)) - (0x1p52 + 0x1p31);
}

}  // namespace qutlass::cuda
