// The counter-based generator Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
// as 1, 2, 3", SC'11. A draw is a function of key and counter alone, so it is the same on every device and in
// every order.
#pragma once

#include <array>
#include <cstdint>

#include "numerics/host_device.h"

namespace qutlass {

using PhiloxWords = std::array<uint32_t, 4>;

QUTLASS_HD constexpr PhiloxWords philox_round(const PhiloxWords& counter, uint32_t low, uint32_t high) {
  const uint64_t first = uint64_t{0xD2511F53u} * counter[0];
  const uint64_t second = uint64_t{0xCD9E8D57u} * counter[2];
  return {static_cast<uint32_t>(second >> 32) ^ counter[1] ^ low, static_cast<uint32_t>(second),
          static_cast<uint32_t>(first >> 32) ^ counter[3] ^ high, static_cast<uint32_t>(first)};
}

// visit(round, low, high) with the keys of the rounds.
template <typename Visit>
QUTLASS_HD constexpr void for_each_philox_key(uint64_t key, const Visit& visit) {
  auto low = static_cast<uint32_t>(key);
  auto high = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    visit(round, low, high);
    low += 0x9E3779B9u;
    high += 0xBB67AE85u;
  }
}

QUTLASS_HD constexpr PhiloxWords philox(uint64_t key, PhiloxWords counter) {
  for_each_philox_key(key,
                      [&](int, uint32_t low, uint32_t high) { counter = philox_round(counter, low, high); });
  return counter;
}

// The keys of all rounds, for those who draw with one key many times.
class PhiloxKeys {
 public:
  explicit constexpr PhiloxKeys(uint64_t key) {
    for_each_philox_key(key, [&](int round, uint32_t low, uint32_t high) {
      low_[round] = low;
      high_[round] = high;
    });
  }

  QUTLASS_HD constexpr PhiloxWords draw(PhiloxWords counter) const {
    for (int round = 0; round < 10; ++round) counter = philox_round(counter, low_[round], high_[round]);
    return counter;
  }

 private:
  uint32_t low_[10]{}, high_[10]{};
};

// 24 bits in [0, 1), each value exact in float32.
QUTLASS_HD inline float uniform(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

}  // namespace qutlass
