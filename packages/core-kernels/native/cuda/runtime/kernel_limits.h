// What the machine code of a kernel for the current device is made for.
#pragma once

#include <map>
#include <mutex>

#include "error.h"

namespace qutlass::cuda {

// Asks the driver once for every device.
template <auto* kKernel>
cudaFuncAttributes kernel_attributes() {
  static std::mutex mutex;
  static std::map<int, cudaFuncAttributes> known;
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current GPU");
  std::lock_guard lock(mutex);
  if (const auto found = known.find(device); found != known.end()) return found->second;
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kKernel), "asking for the machine code of a kernel");
  return known[device] = attributes;
}

// Whether it is of a generation with clusters and dependent launches (sm_90), which PTX for older ones is
// not, wherever it runs.
inline bool has_clusters(const cudaFuncAttributes& attributes) { return attributes.ptxVersion >= 90; }

}  // namespace qutlass::cuda
