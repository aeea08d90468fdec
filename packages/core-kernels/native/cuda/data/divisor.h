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
      : divisor_(divisor),
        shift_(31 + std::bit_width(divisor - 1)),
        multiplier_(static_cast<uint32_t>(((uint64_t{1} << shift_) + divisor - 1) / divisor)) {}

  QUTLASS_HD uint32_t divisor() const { return divisor_; }
  // n / divisor of n >= 0; numbers below 2^31 are quick.
  QUTLASS_HD int64_t quotient(int64_t n) const {
    if (n >> 31 != 0) return static_cast<int64_t>(static_cast<uint64_t>(n) / divisor_);
    return small_quotient(static_cast<uint32_t>(n));
  }
  // The same below 2^31.
  QUTLASS_HD uint32_t small_quotient(uint32_t n) const {
    return static_cast<uint32_t>(uint64_t{n} * multiplier_ >> shift_);
  }

 private:
  uint32_t divisor_;
  int32_t shift_;
  uint32_t multiplier_;
};

}  // namespace qutlass::cuda
