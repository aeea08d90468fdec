// A tile of codes times the columns of A in the same stage.
#pragma once

#include "cuda/skinny/wide_shape.cuh"

namespace qutlass::cuda {

// Whether matrix instructions are those of four warps.
inline constexpr bool kWarpgroups = kHasWarpgroupMma;

// A pair of e8m0 scales in bytes 0 and 1. 2^-127 is not normal in bf16.
__device__ inline RowParts expand_powers(uint32_t pair) {
  return {max((pair & 0xFFu) << 7, 0x40u) * 0x10001u, max((pair >> 8 & 0xFFu) << 7, 0x40u) * 0x10001u};
}

// The sums of a lane: registers of mma fragments, [eight rows of A].
template <typename W>
using WideSums = float[W::kTokens / 8][4];

template <typename W>
class WideMultiply {
  using T = typename W::T;
  using Sums = WideSums<W>;
  // Scales that are powers of two go with the operand: no product with them is rounded.
  static constexpr bool kScaledOperand = T::kScale == TileScale::kE8M0;
  static constexpr bool kScaledSums = T::kScale == TileScale::kBF16 || T::kScale == TileScale::kF32;
  // Operands are made for two steps at a time, while those of the two before are multiplied. No group is
  // shorter than that.
  static constexpr int kBatchSteps = 2, kBatches = 2 * T::kSteps / kBatchSteps;
  static constexpr int kUnitBatches = T::kSteps / kBatchSteps;
  static constexpr int kGroupBatches = kBatches / (T::kBy16 ? 1 : T::kGroups);
  // Those that are added up by matrix instructions alone.
  static constexpr int kChain = kScaledSums ? kGroupBatches : kBatches;
  static_assert(kGroupBatches > 0);

 public:
  __device__ WideMultiply(int warps, int warp) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    codes_at_ = WideStage<W>::codes_offset(warp) + lane * 16;
    scales_at_ = WideStage<W>::scales_offset(warps, warp) + (T::kBy16 ? lane : lane / 4) * T::kScaleBytes;
    zeros_at_ = WideStage<W>::scales_offset(warps, warp) + 8 * T::kScaleBytes + lane / 4 * T::kZeroBytes;
    if constexpr (W::kTokens <= 32) {
      // Not to be found out again for every tile. For more rows of A there are no registers to keep them.
      pin(codes_at_);
      pin(scales_at_);
    }
  }

  // When a tile has come, makes the operands of its first batch.
  __device__ void open(const WideStage<W>& stage, uint32_t parity) {
    stage.full().wait(parity);
    codes_ = load_codes(stage, 0);
    make(stage, 0);
  }
  // Adds the products of the tile that is open. Before the last of them have ended, calls open_next.
  template <typename OpenNext>
  __device__ void add(const WideStage<W>& stage, Sums& sums, OpenNext&& open_next) {
    Sums group;
    Sums& into = kScaledSums ? group : sums;
#pragma unroll
    for (int batch = 0; batch < kBatches; ++batch) {
      const int in_chain = batch % kChain;
      if constexpr (kWarpgroups) warpgroup_begin();
#pragma unroll
      for (int step = 0; step < kBatchSteps; ++step) {
        multiply(stage, batch * kBatchSteps + step, operands_[batch % 2][step], into,
                 !kScaledSums || in_chain > 0 || step > 0);
      }
      if constexpr (kWarpgroups) warpgroup_commit();
      // Operands of the next batch take the place of those of the one before.
      if (in_chain > 0) {
        wait_for_products<1>();
        release(operands_[(batch + 1) % 2]);
      }
      if (batch + 1 < kBatches) {
        make(stage, batch + 1);
      } else {
        open_next();
      }
      if (in_chain < kChain - 1) continue;
      float scales[2];
      if constexpr (kScaledSums) {
#pragma unroll
        for (int i = 0; i < 2; ++i)
          scales[i] = tile_scale<T::kScale>(stage.at + scales_at_, batch / kGroupBatches * 2 + i);
      }
      wait_for_products<0>();
      release(into);
      release(operands_[batch % 2]);
      if constexpr (kScaledSums) {
#pragma unroll
        for (int n = 0; n < W::kTokens / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sums[n][i] = fmaf(group[n][i], scales[i / 2], sums[n][i]);
        }
      }
    }
  }

 private:
  __device__ uint4 load_codes(const WideStage<W>& stage, int unit) const {
    return *reinterpret_cast<const uint4*>(stage.at + codes_at_ + unit * (kTileBytes / 2));
  }
  // The operands of a batch, from codes that are in registers.
  __device__ void make(const WideStage<W>& stage, int batch) {
    auto& operand = operands_[batch % 2];
    const uint32_t words[4] = {codes_.x, codes_.y, codes_.z, codes_.w};
    const int in_unit = batch % kUnitBatches * kBatchSteps, group = batch / kGroupBatches;
    RowParts parts = kExcess<T::kCode>;
    if constexpr (T::kBy16) {
      parts =
          expand_scales_by_16(reinterpret_cast<const uint16_t*>(stage.at + scales_at_)[batch / kUnitBatches]);
    } else if constexpr (T::kZeroPoints) {
      const uint32_t pair = reinterpret_cast<const uint32_t*>(stage.at + zeros_at_)[group];
      parts = {__byte_perm(pair, 0, 0x1010), __byte_perm(pair, 0, 0x3232)};
    }
    RowParts powers{};
    if constexpr (kScaledOperand)
      powers = expand_powers(reinterpret_cast<const uint16_t*>(stage.at + scales_at_)[group]);
#pragma unroll
    for (int step = 0; step < kBatchSteps; ++step) {
      expand<T::kCode>(words + (in_unit + step) * kWordsPerStep<T::kCode>, parts, operand[step]);
      if constexpr (kScaledOperand) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          operand[step][i] = multiply_bf16(operand[step][i], i % 2 ? powers.odd : powers.even);
      }
    }
    if ((batch + 1) % kUnitBatches == 0 && batch + 1 < kBatches)
      codes_ = load_codes(stage, (batch + 1) / kUnitBatches);
  }

  __device__ void multiply(const WideStage<W>& stage, int step, const uint32_t (&operand)[4], Sums& sums,
                           bool add) const {
    const uint8_t* const tokens = stage.tokens(step / 4);
    if constexpr (kWarpgroups) {
      multiply_async(sums, operand, swizzled_rows(tokens, step % 4 * 2), add);
    } else {
      const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
      for (int n = 0; n < W::kTokens / 8; n += 2) {
        const int token = n * 8 + lane / 16 * 8 + lane % 8;
        uint32_t b[2][2];
        load_matrices(tokens + token * 128 + ((step % 4 * 2 + lane / 8 % 2) ^ (token % 8)) * 16, b[0][0],
                      b[0][1], b[1][0], b[1][1]);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if (!add) sums[n + i][0] = sums[n + i][1] = sums[n + i][2] = sums[n + i][3] = 0;
          multiply_add(sums[n + i], operand, b[i]);
        }
      }
    }
  }

  // All products but those of the newest batches; their registers are in use until then.
  template <int kNewest>
  __device__ static void wait_for_products() {
    if constexpr (kWarpgroups) warpgroup_wait<kNewest>();
  }
  template <typename Registers, int kOuter, int kInner>
  __device__ static void release(Registers (&registers)[kOuter][kInner]) {
    if constexpr (kWarpgroups) {
#pragma unroll
      for (int i = 0; i < kOuter * kInner; ++i) pin(registers[i / kInner][i % kInner]);
    }
  }

  uint32_t codes_at_, scales_at_, zeros_at_;  // of this lane in a stage
  uint4 codes_;
  uint32_t operands_[2][kBatchSteps][4];
};

}  // namespace qutlass::cuda
