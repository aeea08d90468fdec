// Kernels that want more than 48 KB of shared memory.
#pragma once

#include <array>
#include <atomic>

#include "error.h"

namespace qutlass::cuda {

// Lets the kernel have so many bytes on the current device. Asks the driver only for more than it has
// granted.
template <auto* kKernel>
void allow_shared_memory(int bytes) {
  constexpr int kDevices = 64;
  static std::array<std::atomic<int>, kDevices> granted{};
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current GPU");
  std::atomic<int>* known = device < kDevices ? &granted[static_cast<size_t>(device)] : nullptr;
  if (bytes <= 48 * 1024 || (known && known->load() >= bytes)) return;
  check(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
        "reserving shared memory");
  if (known) known->store(bytes);
}

}  // namespace qutlass::cuda
