// Matrix instructions of four warps (sm_90a), the left operand in registers, the right one in shared memory:
// PTX ISA, "Asynchronous warpgroup level matrix instructions". Registers of each warp are those of
// mma.m16n8k16, rows 16 w to 16 w + 15 being those of warp w.
#pragma once

#include <cstdint>

namespace qutlass::cuda {

// Whether this machine code has them.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define QUTLASS_WARPGROUP_MMA(...) asm volatile(__VA_ARGS__)
inline constexpr bool kHasWarpgroupMma = true;
#else
#define QUTLASS_WARPGROUP_MMA(...)
inline constexpr bool kHasWarpgroupMma = false;
#endif

// Shared memory written by this thread's ordinary stores and copies, before another thread's matrix
// instructions or bulk copies read it.
__device__ inline void fence_async_proxy() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// Gives registers of the warps of a group to another, or takes what others gave: all warps of a kernel, each
// in one branch.
template <int kRegisters>
__device__ inline void shrink_registers() {
  QUTLASS_WARPGROUP_MMA("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ inline void grow_registers() {
  QUTLASS_WARPGROUP_MMA("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// The right operand: rows of 128 bytes, the 16-byte parts of row r at their number exclusive-or r % 8, from
// an address that is a multiple of 1024, and from a part on.
__device__ inline uint32_t swizzled_rows(const void* shared, int part) {
  // In a cluster the address says in its upper bits whose it is.
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared)) & 0x3FFFFu;
  return (address >> 4) + (0x10000u + part);
}

// Before the first instruction, and after registers that one uses were written.
__device__ inline void warpgroup_begin() { QUTLASS_WARPGROUP_MMA("wgmma.fence.sync.aligned;" :: : "memory"); }
__device__ inline void warpgroup_commit() {
  QUTLASS_WARPGROUP_MMA("wgmma.commit_group.sync.aligned;" :: : "memory");
}
// Waits for all groups but the newest kNewest.
template <int kNewest>
__device__ inline void warpgroup_wait() {
  QUTLASS_WARPGROUP_MMA("wgmma.wait_group.sync.aligned %0;" ::"n"(kNewest) : "memory");
}
// Keeps the compiler from moving uses of a register across this point.
__device__ inline void pin(float& value) { asm volatile("" : "+f"(value)::"memory"); }
__device__ inline void pin(uint32_t& value) { asm volatile("" : "+r"(value)::"memory"); }

// c[64][32] (+)= a[64][16] b[32][16]^T in bf16 with float32 sums.
__device__ inline void multiply_async(float (&c)[4][4], const uint32_t (&a)[4], uint32_t b, bool add) {
  QUTLASS_WARPGROUP_MMA(
      "{ .reg .pred add; .reg .b64 b; setp.ne.u32 add, %21, 0; mov.b64 b, {%20, 0x40000040};\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, "
      "%11, %12, %13, %14, %15}, {%16, %17, %18, %19}, b, add, 1, 1, 0; }" : "+f"(c[0][0]),
      "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3]),
      "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]),
      "+f"(c[3][3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "r"(static_cast<uint32_t>(add)));
}

// c[64][64] (+)= a[64][16] b[64][16]^T.
__device__ inline void multiply_async(float (&c)[8][4], const uint32_t (&a)[4], uint32_t b, bool add) {
  QUTLASS_WARPGROUP_MMA(
      "{ .reg .pred add; .reg .b64 b; setp.ne.u32 add, %37, 0; mov.b64 b, {%36, 0x40000040};\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, "
      "%11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, "
      "%31}, {%32, %33, %34, %35}, b, add, 1, 1, 0; }" : "+f"(c[0][0]),
      "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3]),
      "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]),
      "+f"(c[3][3]), "+f"(c[4][0]), "+f"(c[4][1]), "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]),
      "+f"(c[5][2]), "+f"(c[5][3]), "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]),
      "+f"(c[7][1]), "+f"(c[7][2]), "+f"(c[7][3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b),
      "r"(static_cast<uint32_t>(add)));
}

#undef QUTLASS_WARPGROUP_MMA

}  // namespace qutlass::cuda
