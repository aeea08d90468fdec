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
    codes_ = WideStage<W>::codes_offset(warp) + lane * 16;
    scales_ = WideStage<W>::scales_offset(warps, warp) + (T::kBy16 ? lane : lane / 4) * T::kScaleBytes;
    zeros_ = WideStage<W>::scales_offset(warps, warp) + 8 * T::kScaleBytes + lane / 4 * T::kZeroBytes;
    if constexpr (W::kTokens <= 32) {
      // Not to be found out again for every tile. For more rows of A there are no registers to keep them.
      pin(codes_);
      pin(scales_);
    }
  }

  // Adds the products of the tile in a stage.
  __device__ void add(const WideStage<W>& stage, Sums& sums) const {
    Sums group;
    uint32_t operands[2][kBatchSteps][4];
    const auto codes_of = [&](int unit) {
      return *reinterpret_cast<const uint4*>(stage.at + codes_ + unit * (kTileBytes / 2));
    };
    uint4 codes = codes_of(0);
#pragma unroll
    for (int batch = 0; batch < kBatches; ++batch) {
      const int in_chain = batch % kChain;
      auto& operand = operands[batch % 2];
      if (in_chain >= 2) {
        wait_for_products<1>();
        release(operand);
      }
      make(codes, stage, batch, operand);
      if (batch + 1 < kBatches && (batch + 1) % kUnitBatches == 0)
        codes = codes_of((batch + 1) / kUnitBatches);
      Sums& into = kScaledSums ? group : sums;
      if constexpr (kWarpgroups) warpgroup_begin();
#pragma unroll
      for (int step = 0; step < kBatchSteps; ++step) {
        multiply(stage, batch * kBatchSteps + step, operand[step], into,
                 !kScaledSums || in_chain > 0 || step > 0);
      }
      if constexpr (kWarpgroups) warpgroup_commit();
      if (in_chain < kChain - 1) continue;
      wait_for_products<0>();
      release(into);
      release(operand);
      if (kChain > 1) release(operands[(batch + 1) % 2]);
      if constexpr (kScaledSums) {
        const uint8_t* const scales = stage.at + scales_;
        const float low = tile_scale<T::kScale>(scales, batch / kGroupBatches * 2);
        const float high = tile_scale<T::kScale>(scales, batch / kGroupBatches * 2 + 1);
#pragma unroll
        for (int n = 0; n < W::kTokens / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sums[n][i] = fmaf(group[n][i], i < 2 ? low : high, sums[n][i]);
        }
      }
    }
  }

 private:
  __device__ void make(const uint4& codes, const WideStage<W>& stage, int batch,
                       uint32_t (&operand)[kBatchSteps][4]) const {
    const uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
    const int in_unit = batch % kUnitBatches * kBatchSteps, group = batch / kGroupBatches;
    RowParts parts = kExcess<T::kCode>;
    if constexpr (T::kBy16) {
      parts =
          expand_scales_by_16(reinterpret_cast<const uint16_t*>(stage.at + scales_)[batch / kUnitBatches]);
    } else if constexpr (T::kZeroPoints) {
      const uint32_t pair = reinterpret_cast<const uint32_t*>(stage.at + zeros_)[group];
      parts = {__byte_perm(pair, 0, 0x1010), __byte_perm(pair, 0, 0x3232)};
    }
    RowParts powers{};
    if constexpr (kScaledOperand)
      powers = expand_powers(reinterpret_cast<const uint16_t*>(stage.at + scales_)[group]);
#pragma unroll
    for (int step = 0; step < kBatchSteps; ++step) {
      expand<T::kCode>(words + (in_unit + step) * kWordsPerStep<T::kCode>, parts, operand[step]);
      if constexpr (kScaledOperand) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          operand[step][i] = multiply_bf16(operand[step][i], i % 2 ? powers.odd : powers.even);
      }
    }
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

  uint32_t codes_, scales_, zeros_;  // of this lane in a stage
};

}  // namespace qutlass::cuda
