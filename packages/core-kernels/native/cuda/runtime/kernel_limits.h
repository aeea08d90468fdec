// What the machine code of a kernel for the current device is made for.
#pragma once

#include <map>
#include <mutex>

#include "error.h"

namespace qutlass::cuda {

// What the driver says of the current device, asked once for each.
template <typename T>
class OfDevice {
 public:
  template <typename Ask>
  T get(const Ask& ask) {
    int device = 0;
    check(cudaGetDevice(&device), "asking for the current GPU");
    std::lock_guard lock(mutex_);
    if (const auto found = known_.find(device); found != known_.end()) return found->second;
    return known_[device] = ask();
  }

 private:
  std::mutex mutex_;
  std::map<int, T> known_;
};

template <auto* kKernel>
cudaFuncAttributes kernel_attributes() {
  static OfDevice<cudaFuncAttributes> known;
  return known.get([] {
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, kKernel), "asking for the machine code of a kernel");
    return attributes;
  });
}

// Whether it is of a generation with clusters and dependent launches (sm_90), which PTX for older ones is
// not, wherever it runs.
inline bool has_clusters(const cudaFuncAttributes& attributes) { return attributes.ptxVersion >= 90; }

// The most blocks of so many threads that can be a cluster, 1 where there are none. Lets the kernel have more
// than the 8 that every device with clusters takes.
template <auto* kKernel>
int max_cluster(int threads) {
  static OfDevice<int> known;
  if (!has_clusters(kernel_attributes<kKernel>())) return 1;
  return known.get([threads] {
    check(cudaFuncSetAttribute(kKernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
          "allowing large clusters");
    cudaLaunchConfig_t config{};
    config.gridDim = 64;  // whole clusters of any size
    config.blockDim = static_cast<unsigned>(threads);
    int size = 0;
    check(cudaOccupancyMaxPotentialClusterSize(&size, kKernel, &config), "asking for clusters");
    return size;
  });
}

}  // namespace qutlass::cuda
