// Copies from global to shared memory beside the computation (sm_80): PTX ISA, "cp.async".
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// kBytes: a multiple of 4; the addresses are multiples of the largest power of two in it, up to 16. The
// thread that copies sees the data after wait_for_copies.
template <int kBytes>
__device__ inline void copy_async(void* shared, const void* global) {
  if constexpr (kBytes > 0) {
    constexpr int kPart = kBytes % 16 == 0 ? 16 : kBytes % 8 == 0 ? 8 : 4;
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
#pragma unroll
    for (int i = 0; i < kBytes; i += kPart) {
      const void* from = static_cast<const uint8_t*>(global) + i;
      // Past the first-level cache: whole lines are used once.
      if constexpr (kPart == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address + i), "l"(from) : "memory");
      } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(address + i), "l"(from), "n"(kPart)
                     : "memory");
      }
    }
  }
}

// Copies 16 bytes, or writes zeros and reads nothing.
__device__ inline void copy_async_or_zero(void* shared, const void* global, bool copies) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global),
               "r"(copies ? 16 : 0)
               : "memory");
}

// Asks for the line of an address, to have it nearer later.
__device__ inline void prefetch_l2(const void* global) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(global));
}

// The copies of a thread since the last call are a group.
__device__ inline void end_copy_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits for all groups but the newest kNewest.
template <int kNewest>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kNewest) : "memory");
}

// The same for a number of groups that the compiler does not know, at most kNewest.
template <int kNewest>
__device__ inline void wait_for_copies_but(int newest) {
  if constexpr (kNewest > 0) {
    if (newest < kNewest) return wait_for_copies_but<kNewest - 1>(newest);
  }
  wait_for_copies<kNewest>();
}

}  // namespace qutlass::cuda
