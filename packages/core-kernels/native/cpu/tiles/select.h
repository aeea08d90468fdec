// The instance of a multiplication for a format and a number of rows; included as multiply.h is.
#pragma once

#include "cpu/tiles/multiply.h"

namespace qutlass {
namespace {

// What make() returns for panels of so many rows, of which the widest have kWidest.
template <typename V, int kWidest, typename Make>
TileMultiply of_rows(int rows, Make make) {
  if constexpr (V::kMatrixRows == 0) {
    if (rows == 1) return make.template operator()<1>();
    if (rows == 2) return make.template operator()<2>();
    if constexpr (kWidest > 4) {
      if (rows == 4) return make.template operator()<4>();
    }
    if constexpr (kWidest > 8) {
      if (rows == 8) return make.template operator()<8>();
    }
  }
  return make.template operator()<kWidest>();
}

// Scales in wide types are told apart at run time: kF32 stands for all of them.
template <typename V, TileCode kCode, TileScale kScale, int kGroup, int kBlock = kGroup>
TileMultiply blocks_of_rows(int rows) {
  return of_rows<V, V::kRows>(rows, []<int kRows>() -> TileMultiply {
    return multiply_blocks<V, kCode, kScale, kGroup, kBlock, kRows>;
  });
}

template <typename V, int kGroup>
TileMultiply int4_integers_of_rows(int rows) {
  return of_rows<V, V::kRows>(rows, []<int kRows>() -> TileMultiply {
    return multiply_integers<V, TileCode::kInt4, TileScale::kF32, kGroup, kRows>;
  });
}

template <typename V, TileCode kCode>
TileMultiply integers_of_rows(int rows) {
  return of_rows<V, V::kSumRows>(
      rows, []<int kRows>() -> TileMultiply { return multiply_integers_of_rows<V, kCode, kRows>; });
}

template <typename V, TileCode kCode, TileScale kScale, int kGroup, bool kZeros = false>
TileMultiply values_of_rows(int rows) {
  return of_rows<V, V::kRows>(rows, []<int kRows>() -> TileMultiply {
    return multiply_values<V, kCode, kScale, kGroup, kZeros, kRows>;
  });
}

template <typename V>
TileMultiply find_blocks(const TileFormat& format, int block, int rows) {
  if (format.code == TileCode::kE2M1) {
    if (format.scale == TileScale::kE8M0) {
      return blocks_of_rows<V, TileCode::kE2M1, TileScale::kE8M0, 32>(rows);
    }
    return block == 16 ? blocks_of_rows<V, TileCode::kE2M1, TileScale::kE4M3, 16>(rows)
                       : blocks_of_rows<V, TileCode::kE2M1, TileScale::kE4M3, 16, 32>(rows);
  }
  if (format.code != TileCode::kInt4) return nullptr;
  switch (format.group) {
    case 32: return blocks_of_rows<V, TileCode::kInt4, TileScale::kF32, 32>(rows);
    case 64: return blocks_of_rows<V, TileCode::kInt4, TileScale::kF32, 64>(rows);
    default: return blocks_of_rows<V, TileCode::kInt4, TileScale::kF32, 128>(rows);
  }
}

template <typename V>
TileMultiply find_integers(const TileFormat& format, int rows) {
  if (format.code == TileCode::kInt8) return integers_of_rows<V, TileCode::kInt8>(rows);
  if (format.code != TileCode::kInt4) return nullptr;
  if (format.scale == TileScale::kNone) return integers_of_rows<V, TileCode::kInt4>(rows);
  switch (format.group) {
    case 32: return int4_integers_of_rows<V, 32>(rows);
    case 64: return int4_integers_of_rows<V, 64>(rows);
    default: return int4_integers_of_rows<V, 128>(rows);
  }
}

template <typename V, TileCode kCode, bool kZeros = false>
TileMultiply values_of_group(int group, int rows) {
  switch (group) {
    case 32: return values_of_rows<V, kCode, TileScale::kF32, 32, kZeros>(rows);
    case 64: return values_of_rows<V, kCode, TileScale::kF32, 64, kZeros>(rows);
    default: return values_of_rows<V, kCode, TileScale::kF32, 128, kZeros>(rows);
  }
}

template <typename V, TileCode kCode>
TileMultiply values_of_integers(const TileFormat& format, int rows) {
  if (format.scale == TileScale::kNone) {
    return format.zero_points ? values_of_rows<V, kCode, TileScale::kNone, kTileCols, true>(rows)
                              : values_of_rows<V, kCode, TileScale::kNone, kTileCols>(rows);
  }
  return format.zero_points ? values_of_group<V, kCode, true>(format.group, rows)
                            : values_of_group<V, kCode>(format.group, rows);
}

template <typename V, TileCode kCode>
TileMultiply values_of_fp8(const TileFormat& format, int rows) {
  switch (format.scale) {
    case TileScale::kNone: return values_of_rows<V, kCode, TileScale::kNone, kTileCols>(rows);
    case TileScale::kE8M0: return values_of_rows<V, kCode, TileScale::kE8M0, 32>(rows);
    default: return values_of_rows<V, kCode, TileScale::kF32, kTileCols>(rows);
  }
}

// Of tiles that have been decoded: without scales where values have them.
template <typename V, TileCode kCode>
TileMultiply values_of_decoded(const TileFormat& format, int rows) {
  switch (format.scale) {
    case TileScale::kNone:
      switch (format.group) {
        case 16: return values_of_rows<V, kCode, TileScale::kNone, 16>(rows);
        case 32: return values_of_rows<V, kCode, TileScale::kNone, 32>(rows);
        case 64: return values_of_rows<V, kCode, TileScale::kNone, 64>(rows);
        default: return values_of_rows<V, kCode, TileScale::kNone, kTileCols>(rows);
      }
    case TileScale::kE8M0: return values_of_rows<V, kCode, TileScale::kE8M0, 32>(rows);
    case TileScale::kE4M3: return values_of_rows<V, kCode, TileScale::kE4M3, 16>(rows);
    default: return values_of_group<V, kCode>(format.group, rows);
  }
}

template <typename V>
TileMultiply find_values(const TileFormat& format, int rows) {
  switch (format.code) {
    case TileCode::kE2M1:
      return format.scale == TileScale::kE8M0
                 ? values_of_rows<V, TileCode::kE2M1, TileScale::kE8M0, 32>(rows)
                 : values_of_rows<V, TileCode::kE2M1, TileScale::kE4M3, 16>(rows);
    case TileCode::kNF4:
      // Its values are not exact in bf16.
      if constexpr (V::kColumns == 2)
        return nullptr;
      else
        return values_of_group<V, TileCode::kNF4>(format.group, rows);
    case TileCode::kE4M3: return values_of_fp8<V, TileCode::kE4M3>(format, rows);
    case TileCode::kE5M2: return values_of_fp8<V, TileCode::kE5M2>(format, rows);
    case TileCode::kInt4: return values_of_integers<V, TileCode::kInt4>(format, rows);
    case TileCode::kBF16:
      if constexpr (V::kColumns == 2) return values_of_decoded<V, TileCode::kBF16>(format, rows);
      return nullptr;
    case TileCode::kF32:
      if constexpr (V::kColumns == 1) return values_of_decoded<V, TileCode::kF32>(format, rows);
      return nullptr;
    default:
      return format.zero_points ? values_of_rows<V, TileCode::kInt8, TileScale::kNone, kTileCols, true>(rows)
                                : values_of_rows<V, TileCode::kInt8, TileScale::kNone, kTileCols>(rows);
  }
}

template <typename V>
int rows(const TileFormat& format, Packing packing) {
  return packing == Packing::kIntegers && format.scale == TileScale::kNone ? V::kSumRows : V::kRows;
}

template <typename V>
TileMultiply find(const TileFormat& format, Packing packing, int block, int rows) {
  if constexpr (V::kColumns == 2)
    return packing == Packing::kPairs ? find_values<V>(format, rows) : nullptr;
  else {
    switch (packing) {
      case Packing::kFloats:
        if constexpr (V::kMatrixRows > 0)
          return nullptr;
        else
          return find_values<V>(format, rows);
      case Packing::kBlocks: return find_blocks<V>(format, block, rows);
      case Packing::kIntegers: return find_integers<V>(format, rows);
      default: return nullptr;
    }
  }
}

}  // namespace
}  // namespace qutlass
