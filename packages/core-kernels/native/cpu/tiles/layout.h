// The layout of weights that products with a prepared weight read: once from begin to end, in the order in
// which vector registers multiply it.
//
// A tile is 16 rows of B by 128 columns: the scales of its groups, their zero points, then the codes, in
// words of 32 bits, one for each row side by side, each with the next 8 codes of 4 bits, or 4 of 8 bits, of
// its row. A 512-bit load is one word of all 16 rows, and 4 bytes of a word are what one integer
// multiplication takes. Tiles of the same rows follow each other along K, after a float32 factor per row: its
// scale, where it has just one, or 1, or NaN if one of its scales is.
#pragma once

#include <cstdint>

#include "qutlass.h"

namespace qutlass {

inline constexpr int kTileRows = 16;
inline constexpr int kTileCols = 128;
inline constexpr int kWordBytes = 4 * kTileRows;  // a word of every row

enum class TileCode {
  kInt4,  // unsigned, with an excess of 8 unless there are zero points
  kE2M1,
  kNF4,
  kInt8,  // unsigned, with an excess of 128
  kE4M3,
  kE5M2,
  // Values that have been decoded, in place of codes: two columns in a word, or one.
  kBF16,
  kF32,
};

// Scales inside of a row; kNone: the factor of the row is all.
enum class TileScale { kNone, kE8M0, kE4M3, kF32, kBF16, kF16 };

struct TileFormat {
  TileCode code;
  TileScale scale;
  int group;  // columns that share scale and zero point; larger groups are repeated in every tile
  bool zero_points;

  constexpr int groups() const { return kTileCols / group; }
  constexpr int scale_bytes() const {
    switch (scale) {
      case TileScale::kNone: return 0;
      case TileScale::kF32: return 4;
      case TileScale::kBF16:
      case TileScale::kF16: return 2;
      default: return 1;
    }
  }
  constexpr int bits() const {
    switch (code) {
      case TileCode::kInt4:
      case TileCode::kE2M1:
      case TileCode::kNF4: return 4;
      case TileCode::kBF16: return 16;
      case TileCode::kF32: return 32;
      default: return 8;
    }
  }
  // What an unsigned code of an integer exceeds its value by, where that is the same for all.
  constexpr int excess() const { return code == TileCode::kInt8 ? 128 : code == TileCode::kInt4 ? 8 : 0; }
  constexpr int zeros_offset() const { return groups() * kTileRows * scale_bytes(); }
  constexpr int codes_offset() const {
    const int bytes = zeros_offset() + (zero_points ? groups() * kTileRows : 0);
    return (bytes + kWordBytes - 1) / kWordBytes * kWordBytes;
  }
  constexpr int tile_bytes() const { return codes_offset() + kTileRows * kTileCols * bits() / 8; }
};

inline constexpr int kFactorBytes = kTileRows * 4;

// The format of the tiles of q; throws QUTLASS_E_UNSUPPORTED with the reason if there is none.
TileFormat tile_format(const qutlass_quantized& q);

// The bytes of 16 rows, factors included, and of a matrix.
int64_t tile_row_bytes(const TileFormat& format, int64_t cols);
int64_t tile_bytes(const qutlass_quantized& q);

}  // namespace qutlass
