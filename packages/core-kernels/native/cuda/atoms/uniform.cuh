// Values that are the same in all lanes of a warp, and known to be: then the compiler keeps them in registers
// of the warp, and branches on them diverge nowhere.
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// By all lanes.
__device__ inline int uniform(int value) { return __shfl_sync(0xFFFFFFFFu, value, 0); }

// An address in shared memory.
template <typename T>
__device__ inline T* uniform(T* shared) {
  const int address = uniform(static_cast<int>(__cvta_generic_to_shared(shared)));
  return static_cast<T*>(__cvta_shared_to_generic(static_cast<size_t>(address)));
}

}  // namespace qutlass::cuda
