#pragma once

#include <cstdint>

#include "numerics/host_device.h"

namespace qutlass {

// condition ? a : b as a mask, which compilers do not turn back into a branch: loops over it become vector
// code.
QUTLASS_HD inline uint32_t select(bool condition, uint32_t a, uint32_t b) {
  const uint32_t mask = 0u - static_cast<uint32_t>(condition);
  return (a & mask) | (b & ~mask);
}

}  // namespace qutlass
