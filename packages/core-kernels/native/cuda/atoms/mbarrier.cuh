// Barriers in shared memory whose arrival and wait are apart (sm_80), and that count bytes (sm_90): PTX ISA,
// "mbarrier".
#pragma once

#include <cstdint>

#include "cuda/atoms/cluster.cuh"

namespace qutlass::cuda {

struct Barrier {
  uint64_t state;

  // By one thread, which publishes it.
  __device__ void init(int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address()), "r"(arrivals) : "memory");
  }
  // What the thread did before is seen by those that wait.
  __device__ void arrive() {
    asm volatile("{ .reg .b64 phase; mbarrier.arrive.shared::cta.b64 phase, [%0]; }" ::"r"(address())
                 : "memory");
  }
  // Arrives when the copies by copy_async that this thread has asked for have ended.
  __device__ void arrive_after_copies() {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(address()) : "memory");
  }
  // Waits until phase `parity`, of phases counted from 0 modulo 2, is complete.
  __device__ void wait(uint32_t parity) {
#if __CUDA_ARCH__ >= 900
    asm volatile(
        "{ .reg .pred done; again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1; @!done bra "
        "again; "
        "}" ::"r"(address()),
        "r"(parity)
        : "memory");
#else
    asm volatile(
        "{ .reg .pred done; again: mbarrier.test_wait.parity.shared::cta.b64 done, [%0], %1; @!done bra "
        "again; }" ::"r"(address()),
        "r"(parity)
        : "memory");
#endif
  }

  // The rest is for sm_90.

  // Arrives, and lets the phase last until so many bytes have come.
  __device__ void expect(int bytes) {
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address()), "r"(bytes)
                 : "memory");
#endif
  }
  // Arrives at this barrier of another block.
  __device__ void arrive_at(Peer peer) {
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(peer.address(&state))
                 : "memory");
#endif
  }
  // Stores to where `own` is in another block, whose barrier counts the bytes.
  __device__ void send(float4* own, Peer peer, float4 value) {
#if __CUDA_ARCH__ >= 900
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(
            peer.address(own)),
        "f"(value.x), "f"(value.y), "f"(value.z), "f"(value.w), "r"(peer.address(&state))
        : "memory");
#endif
  }

 private:
  __device__ uint32_t address() const { return static_cast<uint32_t>(__cvta_generic_to_shared(&state)); }
};

// By a thread that initialized barriers: when it has met others, of the cluster too, they and their copies
// may use them.
__device__ inline void publish_barriers() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

}  // namespace qutlass::cuda
