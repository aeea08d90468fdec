// Tiles of codes to tiles of their values, for any vector unit; included as multiply.h is.
#pragma once

#include "cpu/tiles/multiply.h"

namespace qutlass {
namespace {

template <typename V>
[[gnu::always_inline]] inline typename V::Floats scales_of(TileScale scale, const uint8_t* from) {
  switch (scale) {
    case TileScale::kNone: return V::template scales<TileScale::kNone>(scale, from);
    case TileScale::kE8M0: return V::template scales<TileScale::kE8M0>(scale, from);
    case TileScale::kE4M3: return V::template scales<TileScale::kE4M3>(scale, from);
    default: return V::template scales<TileScale::kF32>(scale, from);
  }
}

template <typename V, TileCode kCode, bool kZeros>
void decode_tiles(const TileFormat& format, const uint8_t* b, int64_t cols, uint8_t* out) {
  using Codes = typename V::template Codes<kCode>;
  constexpr bool kPairs = V::kColumns == 2;
  constexpr int kColumns = 32 / Codes::kBits;  // in a word
  const TileFormat to = decoded_format(format, kPairs ? Packing::kPairs : Packing::kFloats);
  const TileParts parts(format), to_parts(to);
  // What values are multiplied with.
  const TileScale scale_of_values = to.scale == TileScale::kNone ? format.scale : TileScale::kNone;
  const int groups = format.groups();
  const auto scale_bytes = static_cast<size_t>(groups * to_parts.scales_of_group);
  for (; cols > 0; cols -= kTileCols, b += parts.bytes, out += to_parts.bytes) {
    __builtin_memcpy(out, b, scale_bytes);
    const uint8_t* codes = b + parts.codes;
    uint8_t* values = out + to_parts.codes;
    for (int group = 0; group < groups; ++group) {
      const auto zeros = Codes::zeros(b + parts.zeros + group * kTileRows);
      [[maybe_unused]] const auto scale = scales_of<V>(scale_of_values, b + group * parts.scales_of_group);
      for (int k = 0; k < format.group; k += kColumns, codes += kWordBytes) {
        const auto word = V::load(codes);
#pragma GCC unroll 8
        for (int i = 0; i < kColumns / V::kColumns; ++i, values += kWordBytes) {
          const auto value = Codes::template values<kZeros>(word, i, zeros);
          if constexpr (kPairs) {
            V::store(values, value);
          } else {
            V::store(values, V::multiply(value, scale));
          }
        }
      }
    }
  }
}

template <typename V, TileCode kCode>
TileDecode decode_integers(const TileFormat& format) {
  return format.zero_points ? decode_tiles<V, kCode, true> : decode_tiles<V, kCode, false>;
}

template <typename V>
TileDecode find_decode(const TileFormat& format, Packing packing) {
  if (packing != (V::kColumns == 2 ? Packing::kPairs : Packing::kFloats)) return nullptr;
  switch (format.code) {
    case TileCode::kInt4: return decode_integers<V, TileCode::kInt4>(format);
    case TileCode::kInt8: return decode_integers<V, TileCode::kInt8>(format);
    case TileCode::kE2M1: return decode_tiles<V, TileCode::kE2M1, false>;
    case TileCode::kE4M3: return decode_tiles<V, TileCode::kE4M3, false>;
    case TileCode::kE5M2: return decode_tiles<V, TileCode::kE5M2, false>;
    case TileCode::kNF4:
      if constexpr (V::kColumns == 1) return decode_tiles<V, TileCode::kNF4, false>;
      return nullptr;
    default: return nullptr;
  }
}

}  // namespace
}  // namespace qutlass
