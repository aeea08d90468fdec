// Reading what is read once: the second-level cache gives it up before anything else. A stream of weights
// would else push out what kernels hand to each other, and the machine code of those that run rarely. PTX
// ISA, "createpolicy" (sm_80).
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// For copies that take a hint to the cache.
__device__ inline uint64_t read_once_policy() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// 16 bytes beside the computation, as copy_async (async_copy.cuh).
__device__ inline void copy_async_once(void* shared, const void* global, uint64_t policy) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2;" ::"r"(address), "l"(global),
               "l"(policy)
               : "memory");
}

}  // namespace qutlass::cuda
