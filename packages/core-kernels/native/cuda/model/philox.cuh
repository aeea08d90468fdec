// The draws of reference/philox.h, by the threads of a kernel: Philox 4x32-10, counter (counter, row, 0, 0).
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// The first word of the block of random bits.
__device__ inline uint32_t philox_word(uint64_t key, uint32_t counter, uint32_t row) {
  uint4 state{counter, row, 0, 0};
  uint2 round_key{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t first = __umulhi(0xD2511F53u, state.x), second = __umulhi(0xCD9E8D57u, state.z);
    state = {second ^ state.y ^ round_key.x, 0xCD9E8D57u * state.z, first ^ state.w ^ round_key.y,
             0xD2511F53u * state.x};
    round_key.x += 0x9E3779B9u;
    round_key.y += 0xBB67AE85u;
  }
  return state.x;
}

}  // namespace qutlass::cuda
