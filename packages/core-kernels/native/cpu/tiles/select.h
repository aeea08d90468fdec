// The instance of a multiplication for a format and a number of rows; included as multiply.h is.
#pragma once

#include "cpu/tiles/multiply.h"

namespace qutlass {
namespace {

// Scales in wide types are told apart at run time: kF32 stands for all of them.
template <typename V, TileCode kCode, TileScale kScale, int kGroup, int kBlock = kGroup>
TileMultiply blocks_of_rows(int rows) {
  switch (rows) {
    case 1: return multiply_blocks<V, kCode, kScale, kGroup, kBlock, 1>;
    case 2: return multiply_blocks<V, kCode, kScale, kGroup, kBlock, 2>;
    case 4: return multiply_blocks<V, kCode, kScale, kGroup, kBlock, 4>;
    default: return multiply_blocks<V, kCode, kScale, kGroup, kBlock, V::kRows>;
  }
}

template <typename V, int kGroup>
TileMultiply int4_integers_of_rows(int rows) {
  switch (rows) {
    case 1: return multiply_integers<V, TileCode::kInt4, TileScale::kF32, kGroup, 1>;
    case 2: return multiply_integers<V, TileCode::kInt4, TileScale::kF32, kGroup, 2>;
    case 4: return multiply_integers<V, TileCode::kInt4, TileScale::kF32, kGroup, 4>;
    default: return multiply_integers<V, TileCode::kInt4, TileScale::kF32, kGroup, V::kRows>;
  }
}

template <typename V, TileCode kCode>
TileMultiply integers_of_rows(int rows) {
  switch (rows) {
    case 1: return multiply_integers_of_rows<V, kCode, 1>;
    case 2: return multiply_integers_of_rows<V, kCode, 2>;
    case 4: return multiply_integers_of_rows<V, kCode, 4>;
    default: return multiply_integers_of_rows<V, kCode, V::kRows>;
  }
}

template <typename V, TileCode kCode, TileScale kScale, int kGroup, bool kZeros = false>
TileMultiply f32_of_rows(int rows) {
  switch (rows) {
    case 1: return multiply_f32<V, kCode, kScale, kGroup, kZeros, 1>;
    case 2: return multiply_f32<V, kCode, kScale, kGroup, kZeros, 2>;
    case 4: return multiply_f32<V, kCode, kScale, kGroup, kZeros, 4>;
    default: return multiply_f32<V, kCode, kScale, kGroup, kZeros, V::kRows>;
  }
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
TileMultiply f32_of_group(int group, int rows) {
  switch (group) {
    case 32: return f32_of_rows<V, kCode, TileScale::kF32, 32, kZeros>(rows);
    case 64: return f32_of_rows<V, kCode, TileScale::kF32, 64, kZeros>(rows);
    default: return f32_of_rows<V, kCode, TileScale::kF32, 128, kZeros>(rows);
  }
}

template <typename V, TileCode kCode>
TileMultiply f32_of_integers(const TileFormat& format, int rows) {
  if (format.scale == TileScale::kNone) {
    return format.zero_points ? f32_of_rows<V, kCode, TileScale::kNone, kTileCols, true>(rows)
                              : f32_of_rows<V, kCode, TileScale::kNone, kTileCols>(rows);
  }
  return format.zero_points ? f32_of_group<V, kCode, true>(format.group, rows)
                            : f32_of_group<V, kCode>(format.group, rows);
}

template <typename V>
TileMultiply find_f32(const TileFormat& format, int rows) {
  switch (format.code) {
    case TileCode::kE2M1:
      return format.scale == TileScale::kE8M0 ? f32_of_rows<V, TileCode::kE2M1, TileScale::kE8M0, 32>(rows)
                                              : f32_of_rows<V, TileCode::kE2M1, TileScale::kE4M3, 16>(rows);
    case TileCode::kNF4: return f32_of_group<V, TileCode::kNF4>(format.group, rows);
    case TileCode::kInt4: return f32_of_integers<V, TileCode::kInt4>(format, rows);
    default:
      return format.zero_points ? f32_of_rows<V, TileCode::kInt8, TileScale::kNone, kTileCols, true>(rows)
                                : f32_of_rows<V, TileCode::kInt8, TileScale::kNone, kTileCols>(rows);
  }
}

template <typename V>
TileMultiply find(const TileFormat& format, Packing packing, int block, int rows) {
  switch (packing) {
    case Packing::kFloats: return find_f32<V>(format, rows);
    case Packing::kBlocks: return find_blocks<V>(format, block, rows);
    default: return find_integers<V>(format, rows);
  }
}

}  // namespace
}  // namespace qutlass
