// The formats of tiles as constants: each function calls launch.operator()<Tiles<...>>() for that of a
// weight.
#pragma once

#include "cuda/skinny/skinny.cuh"

namespace qutlass::cuda {

template <bool kIntegers = false, typename Launch>
void with_int4_tiles(const TileFormat& format, const Launch& launch) {
  const auto with_groups = [&]<TileScale kScale, int kGroups>() {
    format.zero_points
        ? launch.template operator()<Tiles<TileCode::kInt4, kScale, kGroups, true, kIntegers>>()
        : launch.template operator()<Tiles<TileCode::kInt4, kScale, kGroups, false, kIntegers>>();
  };
  const auto with_scale = [&]<TileScale kScale>() {
    switch (format.groups) {
      case 1: return with_groups.template operator()<kScale, 1>();
      case 2: return with_groups.template operator()<kScale, 2>();
      default: return with_groups.template operator()<kScale, 4>();
    }
  };
  switch (format.scale) {
    case TileScale::kNone: return with_groups.template operator()<TileScale::kNone, 1>();
    case TileScale::kBF16: return with_scale.template operator()<TileScale::kBF16>();
    default: return with_scale.template operator()<TileScale::kF32>();
  }
}

template <typename Launch>
void with_e2m1_tiles(const TileFormat& format, const Launch& launch) {
  return format.code == TileCode::kE2M1
             ? launch.template operator()<Tiles<TileCode::kE2M1, TileScale::kE8M0, 4, false>>()
             : launch.template operator()<Tiles<TileCode::kE2M1By16, TileScale::kE4M3, 1, false>>();
}

template <typename Launch>
void with_nf4_tiles(const TileFormat& format, const Launch& launch) {
  if (format.scale == TileScale::kNone)
    return launch.template operator()<Tiles<TileCode::kNf4, TileScale::kNone, 1, false>>();
  switch (format.groups) {
    case 1: return launch.template operator()<Tiles<TileCode::kNf4, TileScale::kF32, 1, false>>();
    case 2: return launch.template operator()<Tiles<TileCode::kNf4, TileScale::kF32, 2, false>>();
    default: return launch.template operator()<Tiles<TileCode::kNf4, TileScale::kF32, 4, false>>();
  }
}

template <typename Launch>
void with_byte_tiles(const TileFormat& format, const Launch& launch) {
  const auto with_fp8 = [&]<TileCode kCode>() {
    switch (format.scale) {
      case TileScale::kNone: return launch.template operator()<Tiles<kCode, TileScale::kNone, 1, false>>();
      case TileScale::kF32: return launch.template operator()<Tiles<kCode, TileScale::kF32, 1, false>>();
      default: return launch.template operator()<Tiles<kCode, TileScale::kE8M0, 2, false>>();
    }
  };
  switch (format.code) {
    case TileCode::kInt8:
      return format.zero_points
                 ? launch.template operator()<Tiles<TileCode::kInt8, TileScale::kNone, 1, true>>()
                 : launch.template operator()<Tiles<TileCode::kInt8, TileScale::kNone, 1, false>>();
    case TileCode::kE4M3: return with_fp8.template operator()<TileCode::kE4M3>();
    default: return with_fp8.template operator()<TileCode::kE5M2>();
  }
}

}  // namespace qutlass::cuda
