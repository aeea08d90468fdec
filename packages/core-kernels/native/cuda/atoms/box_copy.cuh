// Copies of boxes of a matrix from global to shared memory, by one instruction where the GPU has a unit for
// them (sm_90: PTX ISA, "cp.async.bulk.tensor"), else by the lanes of a warp.
#pragma once

#include "cuda/atoms/async_copy.cuh"
#include "cuda/atoms/mbarrier.cuh"
#include "matrix_boxes.h"

namespace qutlass::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
inline constexpr bool kHasBoxCopies = false;
#else
inline constexpr bool kHasBoxCopies = true;
#endif

// What a warp copies at once, and the barrier at which it arrives when all of it has come: kArrivals times.
// By all lanes, from the constructor to the destructor.
class BoxCopies {
 public:
  static constexpr int kArrivals = kHasBoxCopies ? 1 : 32;

  // bytes: of all boxes.
  __device__ BoxCopies(Barrier& done, int bytes) : done_(done), lane_(static_cast<int>(threadIdx.x) % 32) {
    if (kHasBoxCopies && lane_ == 0) done.expect(bytes);
  }
  __device__ ~BoxCopies() {
    if constexpr (!kHasBoxCopies) done_.arrive_after_copies();
  }

  // The box whose first byte is in this column and row. to: a multiple of 128, of 1024 if it is swizzled.
  template <int kBoxBytes, BoxLayout kLayout = BoxLayout::kPlain>
  __device__ void add(uint8_t* to, const MatrixBoxes& from, int column, int row) const {
#if __CUDA_ARCH__ >= 900
    if (lane_ == 0) {
      asm volatile(
          "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], "
          "[%4];" ::"r"(shared(to)),
          "l"(&from.map), "r"(column / 4), "r"(row), "r"(shared(&done_))
          : "memory");
    }
#else
    constexpr int kParts = kBoxBytes / 16;
    for (int i = lane_; i < from.box_rows * kParts; i += 32) {
      const int at = i / kParts, part = i % kParts;
      const bool inside = row + at < from.rows && column + part * 16 < from.row_bytes;
      const int64_t offset = (row + at) * from.row_bytes + column + part * 16;
      copy_async_or_zero(to + (at * kParts + (kLayout == BoxLayout::kSwizzled ? part ^ at % 8 : part)) * 16,
                         from.data + (inside ? offset : 0), inside);
    }
#endif
  }

 private:
  __device__ static uint32_t shared(const void* at) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(at));
  }

  Barrier& done_;
  int lane_;
};

// Has the description of a matrix, a parameter of the kernel, at hand for the first copy.
__device__ inline void prefetch_boxes(const MatrixBoxes& boxes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("prefetch.tensormap [%0];" ::"l"(&boxes.map) : "memory");
#endif
}

}  // namespace qutlass::cuda
