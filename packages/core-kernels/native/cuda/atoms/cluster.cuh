// Blocks that run together and reach each other's shared memory (sm_90): PTX ISA, "barrier.cluster", "mapa".
#pragma once

#include <cstdint>
#include <cstring>

namespace qutlass::cuda {

// Whether this machine code has clusters. Host code asks the kernel (kernel_limits.h).
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
inline constexpr bool kHasClusters = false;
#else
inline constexpr bool kHasClusters = true;
#endif

// Of a block: its rank in its cluster, the number of that, and clusters. Elsewhere a block is alone.
struct Cluster {
  int rank, id, count;

  __device__ static Cluster own() {
#if __CUDA_ARCH__ >= 900
    int rank, id, count;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    asm volatile("mov.u32 %0, %%clusterid.x;" : "=r"(id));
    asm volatile("mov.u32 %0, %%nclusterid.x;" : "=r"(count));
    return {rank, id, count};
#else
    return {0, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x)};
#endif
  }
};

// Every thread says that its block runs, and that barriers which it published (mbarrier.cuh) may be used,
// then waits for those of the cluster. Nothing else is ordered: that would wait for all copies on their way.
__device__ inline void arrive_at_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}
__device__ inline void wait_for_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// All threads of the cluster meet; what one of them wrote before, also to peers, all see after.
__device__ inline void synchronize_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
  wait_for_cluster();
#endif
}

// The shared memory of a block of the cluster, by one's own addresses.
class Peer {
 public:
  // own: any of them.
  __device__ Peer(const void* own, int rank) {
#if __CUDA_ARCH__ >= 900
    const auto here = static_cast<uint32_t>(__cvta_generic_to_shared(own));
    uint32_t there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(rank));
    apart_ = there - here;
#endif
  }
  __device__ uint32_t address(const void* own) const {
    return static_cast<uint32_t>(__cvta_generic_to_shared(own)) + apart_;
  }
  // *own there = value
  template <typename T>
  __device__ void store(T* own, T value) const {
    static_assert(sizeof(T) == sizeof(uint32_t));
#if __CUDA_ARCH__ >= 900
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(address(own)), "r"(bits) : "memory");
#else
    *own = value;
#endif
  }

 private:
  uint32_t apart_ = 0;
};

}  // namespace qutlass::cuda
