// Blocks that run together and reach each other's shared memory (sm_90): PTX ISA, "barrier.cluster", "mapa".
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// A barrier of all threads of a cluster, in two halves: what a thread wrote before it arrived is seen, also
// in other blocks, by those that have waited.
__device__ inline void arrive_at_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
__device__ inline void wait_for_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// Writes where `shared` is in the shared memory of block `rank` of the cluster.
__device__ inline void store_in_cluster(float* shared, int rank, float value) {
#if __CUDA_ARCH__ >= 900
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile(
      "{ .reg .b32 remote; mapa.shared::cluster.u32 remote, %0, %1; st.shared::cluster.f32 [remote], %2; }" ::"r"(
          address),
      "r"(rank), "f"(value)
      : "memory");
#endif
}

}  // namespace qutlass::cuda
