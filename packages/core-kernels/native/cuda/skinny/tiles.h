// The layout of weights for products with few rows of A ("skinny"), where everything is about reading them.
//
// A tile is 16 rows by 128 codes of 4 bits, or 64 of 8 bits: 1024 bytes, in the order in which the lanes of a
// warp hold the A operand of mma.m16n8k16, so that each lane's next codes are the next 16 bytes of its own
// and go from memory to the tensor cores without a detour. Tiles of the same rows follow each other along K;
// scales come in as many blocks of their own. Every row has a float32 factor besides: its scale, where it has
// just one, or 1, or NaN if anything in it is NaN, which codes and scales as the kernel reads them cannot
// say.
#pragma once

#include <cstdint>

#include "numerics/host_device.h"
#include "numerics/quantized.h"

namespace qutlass::cuda {

inline constexpr int kTileRows = 16;
inline constexpr int kTileBytes = 1024;

// What a code becomes: the bf16 operand that it is decoded to.
enum class TileCode {
  kInt4,      // unsigned with an excess of 8, or with zero points
  kE2M1,      // times 2^126 when decoded, scaled with its group's sums
  kE2M1By16,  // times the scale of its 16 when decoded, which is exact in bf16
  kNf4,       // looked up
  kInt8,      // with an excess of 128
  kE4M3,
  kE5M2,
};

constexpr bool is_wide(TileCode code) {
  return code == TileCode::kInt8 || code == TileCode::kE4M3 || code == TileCode::kE5M2;
}
constexpr int tile_cols(TileCode code) { return is_wide(code) ? 64 : 128; }

// Scales inside of a row; kNone: the factor of the row is all.
enum class TileScale { kNone, kBF16, kF32, kE8M0, kE4M3 };

constexpr int scale_bytes(TileScale scale) {
  switch (scale) {
    case TileScale::kNone: return 0;
    case TileScale::kBF16: return 2;
    case TileScale::kF32: return 4;
    default: return 1;
  }
}

struct TileFormat {
  TileCode code;
  TileScale scale;
  int groups;  // of a row of a tile; larger groups repeat their scale
  bool zero_points;

  bool operator==(const TileFormat&) const = default;

  // Bytes of scales, and of zero points, that a lane reads for a tile.
  constexpr int lane_scale_bytes() const {
    return code == TileCode::kE2M1By16 ? 4 : 2 * groups * scale_bytes(scale);
  }
  constexpr int lane_zero_bytes() const { return zero_points ? 4 * groups : 0; }
  // The four lanes of a row read the same, but for the scales of 16 elements.
  constexpr int tile_scale_bytes() const {
    return (code == TileCode::kE2M1By16 ? 32 : 8) * lane_scale_bytes() + 8 * lane_zero_bytes();
  }
};

// The format of the tiles of q; throws QUTLASS_E_UNSUPPORTED with the reason if there is none.
TileFormat tile_format(const qutlass_quantized& q);

// Where the parts lie in the memory of the tiles.
struct TileLayout {
  int row_blocks, tiles;  // row blocks, an even number of them, and tiles along K
  int64_t scales, codes;  // offsets; the factors of the rows are at 0
  int64_t bytes;
};
TileLayout tile_layout(const qutlass_quantized& q, const TileFormat& format);

// Columns that follow each other in memory and belong to one lane: 16 bytes of bf16, or as many as share a
// scale that goes with the operand. Four lanes have a span of 32 or 64, so that no matrix instruction mixes
// groups.
QUTLASS_HD constexpr int tile_run(TileCode code) { return code == TileCode::kE2M1By16 ? 16 : 8; }

// The column of a tile that half `half` of register `reg` in step `step` stands for.
QUTLASS_HD constexpr int tile_column(TileCode code, int unit, int lane, int step, int reg, int half) {
  const int run = tile_run(code), at = 4 * step;
  return unit * (tile_cols(code) / 2) + at / run * 4 * run + lane % 4 * run + at % run + reg / 2 * 2 + half;
}
QUTLASS_HD constexpr int tile_row(int lane, int reg) { return lane / 4 + reg % 2 * 8; }

}  // namespace qutlass::cuda
