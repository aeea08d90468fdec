// What the parts of the kernel for some tens of rows of A have in common.
#pragma once

#include "cuda/atoms/box_copy.cuh"
#include "cuda/atoms/uniform.cuh"
#include "cuda/atoms/warpgroup_mma.cuh"
#include "cuda/skinny/skinny.cuh"

namespace qutlass::cuda {

// How a launch divides the work: warps of a block that multiply; items, which are sets of row blocks, one for
// each of these warps, by chunks of A, as many rows as there is room for; blocks that share K, and tiles for
// each of them. And shared memory: bytes of a stage, and of all; parts of A that are on their way to each
// warp that orders them.
struct WidePlan {
  int warps, items, chunks, cluster, tiles, stage_bytes, stages_bytes, ahead;

  // Items with the same weights follow each other, so that these are read from memory once.
  __device__ int set_of(int item) const { return chunks == 1 ? item : item / chunks; }
  __device__ int chunk_of(int item) const { return chunks == 1 ? 0 : item % chunks; }
};

// What is copied: tiles of codes and their scales, a row block for a row; 64 columns of A.
struct WideSources {
  MatrixBoxes codes, scales, a;
};

// The format, and rows of A that there is room for.
template <typename T_, int kTokens_>
struct Wide {
  using T = T_;
  static constexpr int kTokens = kTokens_;
  static constexpr int kBlocks = T::kCols / 64;  // of 128 bytes of a row of A
  // Warps that bring what the others multiply: one codes and scales, and two A. Each of these has 64 columns
  // of a tile, or half of its rows where it has no more. Where registers are shifted, which four warps do at
  // once, there is one more that has nothing else to do.
  static constexpr int kOrderWarps = 2, kFeeders = kTokens > 32 ? 4 : 3;
  static constexpr int kPartRows = kTokens * kBlocks / kOrderWarps, kPartBytes = kPartRows * 128;
  static constexpr int kMaxAhead = (kTokens > 32 ? 24 : 20) * 1024 / kPartBytes;
  // Warps that multiply, at most: fragments of A take registers where matrix instructions are for one warp.
  static constexpr int kMaxWarps = kHasWarpgroupMma ? 16 : kTokens > 32 ? 4 : 8;
  static constexpr int kMaxThreads = (kMaxWarps + kFeeders) * 32;
  // 20 warps have 96 registers a thread; those that multiply many rows of A need more, others fewer.
  static constexpr bool kShiftsRegisters = kHasWarpgroupMma && kTokens > 32;
  static constexpr int kFeedRegisters = 64, kMultiplyRegisters = 104;
};

// What is multiplied between two barriers: the columns of A of a tile in rows of 128 bytes, swizzled, in the
// order of matrix instructions, steps of 16 columns and eight in each 16 bytes; then the barriers, a tile of
// codes for each warp, and their scales.
template <typename W>
struct WideStage {
  using T = typename W::T;
  static constexpr int kTokenBytes = W::kBlocks * W::kTokens * 128, kCodes = kTokenBytes + 128;
  static_assert(T::kTileScaleBytes % 16 == 0);

  uint8_t* at;  // a multiple of 1024

  static constexpr int bytes(int warps) {
    return (kCodes + warps * (kTileBytes + T::kTileScaleBytes) + 1023) / 1024 * 1024;
  }

  __device__ uint8_t* tokens(int block) const { return at + block * W::kTokens * 128; }
  __device__ uint8_t* codes(int warp) const { return at + codes_offset(warp); }
  __device__ uint8_t* scales(int warps, int warp) const { return at + scales_offset(warps, warp); }
  __device__ static int codes_offset(int warp) { return kCodes + warp * kTileBytes; }
  __device__ static int scales_offset(int warps, int warp) {
    return codes_offset(warps) + warp * T::kTileScaleBytes;
  }
  // Full of what the feeders brought; empty when all warps have multiplied.
  __device__ Barrier& full() const { return *reinterpret_cast<Barrier*>(at + kTokenBytes); }
  __device__ Barrier& empty() const { return *reinterpret_cast<Barrier*>(at + kTokenBytes + 8); }

  __device__ void init(int warps) const {
    full().init(BoxCopies::kArrivals + W::kOrderWarps);  // codes and scales, and each part of A
    empty().init(warps);
  }
};

// Stages in turn, and whether their turn has come an even or an odd number of times.
template <typename W>
class Turns {
 public:
  __device__ Turns(uint8_t* stages, const WidePlan& plan) : stages_(stages), plan_(plan) {}

  __device__ WideStage<W> stage() const { return {stages_ + offset_}; }
  __device__ uint32_t parity() const { return parity_; }
  __device__ void advance() {
    offset_ += plan_.stage_bytes;
    if (offset_ == plan_.stages_bytes) offset_ = 0, parity_ ^= 1;
  }

 private:
  uint8_t* stages_;
  const WidePlan& plan_;
  int offset_ = 0;
  uint32_t parity_ = 0;
};

}  // namespace qutlass::cuda
