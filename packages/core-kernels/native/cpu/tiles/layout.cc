#include "cpu/tiles/layout.h"

#include <bit>

#include "check.h"
#include "numerics/quantized.h"

namespace qutlass {
namespace {

TileScale tile_scale(const qutlass_format& format) {
  if (format.group_cols == 0) return TileScale::kNone;
  switch (format.scale_dtype) {
    case QUTLASS_F8_E8M0: return TileScale::kE8M0;
    case QUTLASS_F8_E4M3: return TileScale::kE4M3;
    case QUTLASS_BF16: return TileScale::kBF16;
    case QUTLASS_F16: return TileScale::kF16;
    default: return TileScale::kF32;
  }
}

}  // namespace

TileFormat tile_format(const qutlass_quantized& q) {
  static_assert(std::endian::native == std::endian::little, "words are read as bytes");
  const qutlass_format& f = q.format;
  const int group = f.group_cols == 0 ? kTileCols : f.group_cols;
  const TileScale scale = tile_scale(f);
  const bool zero_points = f.zero_point != 0;
  switch (f.element) {
    case QUTLASS_E2M1: return {TileCode::kE2M1, scale, group, false};
    case QUTLASS_NF4: return {TileCode::kNF4, scale, group, false};
    case QUTLASS_INT4:
    case QUTLASS_UINT4: return {TileCode::kInt4, scale, group, zero_points};
    case QUTLASS_INT8: return {TileCode::kInt8, scale, group, zero_points};
    case QUTLASS_E4M3: return {TileCode::kE4M3, scale, group, false};
    case QUTLASS_E5M2: return {TileCode::kE5M2, scale, group, false};
    default:
      fail(QUTLASS_E_UNSUPPORTED, "q: expected codes of 4 bits, int8 or fp8, the CPU has no tiles of others");
  }
}

int64_t tile_row_bytes(const TileFormat& format, int64_t cols) {
  return kFactorBytes + ceil_div(cols, kTileCols) * format.tile_bytes();
}

int64_t tile_bytes(const qutlass_quantized& q) {
  return ceil_div(q.rows, kTileRows) * tile_row_bytes(tile_format(q), q.cols);
}

}  // namespace qutlass
