// A warp's part of the weights, copied to shared memory several tiles ahead.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/atoms/async_copy.cuh"
#include "cuda/atoms/read_once.cuh"
#include "cuda/skinny/expand.cuh"
#include "cuda/skinny/items.cuh"
#include "cuda/skinny/way.cuh"

namespace qutlass::cuda {

// The format as constants, and whether A has codes of int8, whose products with those of B are added as
// integers.
template <TileCode kCode_, TileScale kScale_, int kGroups_, bool kZeroPoints_, bool kIntegers_ = false>
struct Tiles {
  static constexpr TileFormat kFormat{kCode_, kScale_, kGroups_, kZeroPoints_};
  static constexpr TileCode kCode = kCode_;
  static constexpr TileScale kScale = kScale_;
  static constexpr int kGroups = kGroups_;
  static constexpr bool kZeroPoints = kZeroPoints_;
  static constexpr bool kIntegers = kIntegers_;
  static constexpr bool kBy16 = kCode == TileCode::kE2M1By16;
  static constexpr int kCols = tile_cols(kCode);
  static constexpr int kSteps = kStepsPerUnit<kCode>;
  static constexpr int kScaleBytes = kFormat.lane_scale_bytes();
  static constexpr int kZeroBytes = kFormat.lane_zero_bytes();
  static constexpr int kTileScaleBytes = kFormat.tile_scale_bytes();
  // Scales and zero points leave registers for more.
  static constexpr bool kFewParts = kGroups == 1 && !kZeroPoints && kCode != TileCode::kNf4;
  // Where codes are looked up.
  static constexpr bool kHasTable = kCode == TileCode::kNf4;
  static constexpr int kTableBytes = kHasTable ? Nf4Table::kBytes : 0;
  // Scales of groups go with sums.
  static constexpr bool kScaledSums = kScale != TileScale::kNone && !kBy16;
  // Integers are exact: in int32 as long as no scale comes in.
  using Sum = std::conditional_t<!kIntegers, float, std::conditional_t<kScaledSums, double, int32_t>>;
  static constexpr float kSumFactor =
      kIntegers ? kIntegerSumFactor<kCode, kZeroPoints> : cuda::kSumFactor<kCode>;
  static constexpr int kBytesOfA = kIntegers ? 1 : 2;
};

// One stage of a warp's ring. A lane reads the codes that it copied; scales are for the whole warp.
template <typename T, typename Shape>
struct RingStage {
  alignas(16) uint4 codes[Shape::kBlocks][2][32];
  alignas(16) uint8_t scales[Shape::kBlocks][T::kTileScaleBytes ? T::kTileScaleBytes : 16];

  // Scales of a tile are copied 16 bytes by a lane, those of the row blocks by other lanes where they
  // suffice.
  static constexpr int kScaleLanes = T::kTileScaleBytes / 16;
  static constexpr int kAtOnce = kScaleLanes * Shape::kBlocks <= 32 ? Shape::kBlocks : 1;
  static_assert(T::kTileScaleBytes % 16 == 0 && kScaleLanes <= 32);

  // codes, scales: what this lane copies of the first row block; apart: tiles from one to the next.
  __device__ void fetch(const uint8_t* from_codes, const uint8_t* from_scales, int64_t apart,
                        uint64_t policy) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int r = 0; r < Shape::kBlocks; ++r) {
      const uint8_t* const from = from_codes + r * apart * kTileBytes;
      copy_async_once(&codes[r][0][lane], from, policy);
      copy_async_once(&codes[r][1][lane], from + kTileBytes / 2, policy);
    }
    if constexpr (kScaleLanes > 0) {
      if (lane >= kScaleLanes * kAtOnce) return;
#pragma unroll
      for (int r = 0; r < Shape::kBlocks; r += kAtOnce) {
        copy_async_once(scales[r] + lane * 16, from_scales + r * apart * T::kTileScaleBytes, policy);
      }
    }
  }
  // Where a lane's part of the scales is, from those of a tile.
  __device__ static int64_t scale_offset(int64_t apart) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    constexpr int kLanes = std::max(kScaleLanes, 1);
    return lane / kLanes * apart * T::kTileScaleBytes + lane % kLanes * 16;
  }

  // What a lane reads: scales of its rows, or of its 16 columns, and zero points.
  __device__ const uint8_t* lane_scales(int r) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    return scales[r] + (T::kBy16 ? lane : lane / 4) * T::kScaleBytes;
  }
  __device__ const uint8_t* lane_zeros(int r) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    return scales[r] + 8 * T::kScaleBytes + lane / 4 * T::kZeroBytes;
  }
};

template <TileScale kScale>
__device__ inline float tile_scale(const uint8_t* scales, int i) {
  if constexpr (kScale == TileScale::kBF16) {
    const uint32_t pair = reinterpret_cast<const uint32_t*>(scales)[i / 2];
    return __uint_as_float(i % 2 ? pair & 0xFFFF0000u : pair << 16);
  } else if constexpr (kScale == TileScale::kF32) {
    return reinterpret_cast<const float*>(scales)[i];
  } else {
    // 2^-127 is not normal in float32.
    return __uint_as_float(max(static_cast<uint32_t>(scales[i]) << 23, 0x00400000u));
  }
}

// Fills the ring ahead of the products.
template <typename T, typename Shape, typename Group>
class Feed {
 public:
  __device__ Feed(const Group& p, const Items<Shape, Group>& items, const SkinnySplit& split,
                  const Way<Shape>& way)
      : p_(p), split_(split), way_(way), items_(items) {
    turn();
  }

  // The next tile, if there is one.
  __device__ void fetch_into(RingStage<T, Shape>& stage) {
    if (tiles_ == 0) return;
    stage.fetch(codes_, scales_, p_.tiles, policy_);
    codes_ += kTileBytes;
    scales_ += T::kTileScaleBytes;
    if (--tiles_ == 0) turn();
  }

 private:
  // To the next piece.
  __device__ void turn() {
    while (way_.left() == 0) {
      if (way_.last_round(split_)) return;
      way_.to_next_round(split_);
    }
    const auto piece = way_.next(p_);
    tiles_ = piece.tiles;
    const SetSource from = items_.source(way_.round + piece.set);
    const int64_t at = static_cast<int64_t>(from.row_block) * p_.tiles + piece.tile;
    codes_ = p_.weights[from.weight].codes + at * kTileBytes + threadIdx.x % 32 * 16;
    scales_ = p_.weights[from.weight].scales + at * T::kTileScaleBytes +
              RingStage<T, Shape>::scale_offset(p_.tiles);
  }

  const Group& p_;
  const SkinnySplit& split_;
  const uint64_t policy_ = read_once_policy();
  Way<Shape> way_;
  int tiles_ = 0;
  const uint8_t* codes_ = nullptr;
  const uint8_t* scales_ = nullptr;
  const Items<Shape, Group>& items_;
};

}  // namespace qutlass::cuda
