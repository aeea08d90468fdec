// What a kernel may ask for on the current device: more than 48 KB of shared memory, clusters.
#pragma once

#include <array>
#include <atomic>

#include "error.h"

namespace qutlass::cuda {

inline constexpr int kKnownDevices = 64;
inline int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current GPU");
  return device;
}

// Lets the kernel have so many bytes on the current device. Asks the driver only for more than it has
// granted.
template <auto* kKernel>
void allow_shared_memory(int bytes) {
  static std::array<std::atomic<int>, kKnownDevices> granted{};
  const int device = current_device();
  std::atomic<int>* known = device < kKnownDevices ? &granted[static_cast<size_t>(device)] : nullptr;
  if (bytes <= 48 * 1024 || (known && known->load() >= bytes)) return;
  check(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
        "reserving shared memory");
  if (known) known->store(bytes);
}

// Whether the machine code of the kernel for this device is of a generation with clusters (sm_90), which PTX
// for older ones is not, wherever it runs.
template <auto* kKernel>
bool runs_in_clusters() {
  enum Answer { kUnknown, kNo, kYes };
  static std::array<std::atomic<int>, kKnownDevices> answers{};
  const int device = current_device();
  std::atomic<int>* known = device < kKnownDevices ? &answers[static_cast<size_t>(device)] : nullptr;
  if (known && known->load() != kUnknown) return known->load() == kYes;
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kKernel), "asking for the machine code of a kernel");
  const bool clusters = attributes.ptxVersion >= 90;
  if (known) known->store(clusters ? kYes : kNo);
  return clusters;
}

}  // namespace qutlass::cuda
