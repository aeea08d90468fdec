#include "cpu/tiles/tile.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "cpu/tiles/layout.h"
#include "numerics/quantized.h"

namespace qutlass {
namespace {

bool is_nan_scale(const qutlass_quantized& q, int64_t offset) {
  const float scale = load_scale(q, offset);
  return scale != scale;
}

// The nibbles of 4 bytes so that the low ones of the result's bytes are the first four, the high ones the
// last four.
uint32_t deal(uint32_t codes) {
  const auto spread = [](uint32_t x) {
    x = (x | x << 8) & 0x00FF00FFu;
    return (x | x << 4) & 0x0F0F0F0Fu;
  };
  return spread(codes & 0xFFFFu) | spread(codes >> 16) << 4;
}

// Writes the tiles of 16 rows.
class TileWriter {
 public:
  TileWriter(const qutlass_quantized& q, const TileFormat& format)
      : q_(q),
        format_(format),
        row_bytes_(q.cols * format.bits() / 8),
        scale_cols_(scale_cols(q)),
        flip_(format.code == TileCode::kInt8     ? 0x80808080u
              : q.format.element == QUTLASS_INT4 ? 0x88888888u
                                                 : 0u) {}

  void write(int64_t first_row, uint8_t* out) const {
    const int64_t bytes = tile_row_bytes(format_, q_.cols);
    std::memset(out, 0, static_cast<size_t>(bytes));
    const int rows = static_cast<int>(std::min<int64_t>(kTileRows, q_.rows - first_row));
    for (int r = 0; r < rows; ++r) {
      const float factor = write_row(first_row + r, out + kFactorBytes, r);
      std::memcpy(out + r * 4, &factor, sizeof factor);
    }
  }

 private:
  // Returns the factor of the row.
  float write_row(int64_t row, uint8_t* tiles, int r) const {
    const int64_t group_row = row / group_rows(q_), groups = format_.groups();
    bool has_nan = false;
    for (int64_t begin = 0; begin < q_.cols; begin += kTileCols, tiles += format_.tile_bytes()) {
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t group = (begin + g * format_.group) / group_cols(q_);
        if (group >= scale_cols_) break;
        const int64_t offset = scale_offset(q_, group_row, group);
        const int64_t at = g * kTileRows + r;
        if (format_.scale != TileScale::kNone) {
          has_nan |= is_nan_scale(q_, offset);
          std::memcpy(tiles + at * format_.scale_bytes(),
                      static_cast<const uint8_t*>(q_.scales) + offset * format_.scale_bytes(),
                      static_cast<size_t>(format_.scale_bytes()));
        }
        if (format_.zero_points) {
          const int excess = format_.code == TileCode::kInt8 ? 128 : 0;
          tiles[format_.zeros_offset() + at] =
              static_cast<uint8_t>(load_zero_point(q_, group_row, group) + excess);
        }
      }
      write_codes(row, begin, tiles + format_.codes_offset() + 4 * r);
    }
    if (has_nan) return std::numeric_limits<float>::quiet_NaN();
    return format_.scale == TileScale::kNone ? load_scale(q_, scale_offset(q_, group_row, 0)) : 1.0f;
  }

  // A word every kWordBytes; codes beyond the row are zeros before they are flipped.
  void write_codes(int64_t row, int64_t begin, uint8_t* out) const {
    constexpr int kMaxWords = kTileCols / 4;
    uint32_t words[kMaxWords] = {};
    const int64_t offset = begin * format_.bits() / 8, bytes = kTileCols * format_.bits() / 8;
    std::memcpy(words, static_cast<const uint8_t*>(q_.codes) + row * row_bytes_ + offset,
                static_cast<size_t>(std::min(bytes, row_bytes_ - offset)));
    for (int64_t i = 0; i < bytes / 4; ++i) {
      const uint32_t word = (format_.bits() == 4 ? deal(words[i]) : words[i]) ^ flip_;
      std::memcpy(out + i * kWordBytes, &word, sizeof word);
    }
  }

  const qutlass_quantized& q_;
  const TileFormat& format_;
  int64_t row_bytes_;
  int64_t scale_cols_;
  uint32_t flip_;  // makes codes unsigned
};

}  // namespace

void write_tiles(Context& context, const qutlass_quantized& q, void* out) {
  const TileFormat format = tile_format(q);
  const TileWriter writer(q, format);
  const int64_t bytes = tile_row_bytes(format, q.cols);
  context.threads.parallel_for(ceil_div(q.rows, kTileRows), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) writer.write(i * kTileRows, static_cast<uint8_t*>(out) + i * bytes);
  });
}

}  // namespace qutlass
