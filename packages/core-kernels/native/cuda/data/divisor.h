// Division by a number that is known before a kernel starts, as a product: a few instructions instead of
// some twenty.
#pragma once

#include <bit>
#include <cstdint>

#include "numerics/host_device.h"

namespace qutlass::cuda {

// Granlund and Montgomery, "Division by invariant integers using multiplication", PLDI'94.
class Divisor {
 public:
  // divisor: from 1 to 2^31
  explicit Divisor(uint32_t divisor)
      : shift_(31 + std::bit_width(divisor - 1)),
        multiplier_(static_cast<uint32_t>(((uint64_t{1} << shift_) + divisor - 1) / divisor)) {}

  // n: below 2^31
  QUTLASS_HD uint32_t quotient(uint32_t n) const {
    return static_cast<uint32_t>(uint64_t{n} * multiplier_ >> shift_);
  }

 private:
  int32_t shift_;
  uint32_t multiplier_;
};

}  // namespace qutlass::cuda
