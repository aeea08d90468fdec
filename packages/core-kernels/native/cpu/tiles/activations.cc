#include "cpu/tiles/activations.h"

#include <algorithm>
#include <cstring>

#include "numerics/quantized.h"
#include "reference/dense_rows.h"

namespace qutlass {
namespace {

int columns_of_block(const TileFormat& format, Rounding rounding) {
  return rounding == Rounding::kInt8 ? quantized_block(format) : format.group;
}

int64_t bytes_of_row(const TileFormat& format, int64_t cols, Rounding rounding) {
  const int block = columns_of_block(format, rounding);
  const int bytes = rounding == Rounding::kInt8 ? block + 4 * (1 + block / format.group) : 4 * block;
  return ceil_div(cols, block) * bytes;
}

// Panels of the widest kind, then of 4, 2 and 1 rows.
std::vector<Panel> split_rows(int64_t rows, int widest) {
  std::vector<Panel> panels;
  int width = widest;
  for (int64_t row = 0; row < rows; row += width) {
    while (width > rows - row) width = width > 4 ? 4 : width / 2;
    panels.push_back({row, width});
  }
  return panels;
}

}  // namespace

Activations::Activations(Context& context, const qutlass_tensor& a, const TileFormat& format,
                         const TileKernels& kernels, Rounding rounding)
    : a_(a),
      format_(format),
      kernels_(kernels),
      cols_(a.shape[1]),
      block_(columns_of_block(format, rounding)),
      row_bytes_(bytes_of_row(format, cols_, rounding)),
      panels_(split_rows(a.shape[0], kernels.rows)),
      packed_(context.memory, static_cast<size_t>(a.shape[0] * row_bytes_)) {
  const auto count = static_cast<int64_t>(panels_.size());
  context.threads.parallel_for(count, rows_per_piece(kernels.rows * cols_), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Panel& panel = panels_[static_cast<size_t>(i)];
      if (rounding == Rounding::kInt8) {
        pack_int8(panel);
      } else {
        pack_f32(panel);
      }
    }
  });
}

void Activations::pack_f32(const Panel& panel) const {
  float buffer[kTileCols];
  for (int m = 0; m < panel.rows; ++m) {
    float* out = packed_.as<float>() + panel.row * row_bytes_ / 4 + m;
    for (int64_t begin = 0; begin < cols_; begin += block_) {
      const int64_t count = std::min<int64_t>(block_, cols_ - begin);
      const float* x = load_row(a_, (panel.row + m) * cols_ + begin, count, buffer);
      for (int64_t i = 0; i < block_; ++i, out += panel.rows) *out = i < count ? x[i] : 0.0f;
    }
  }
}

void Activations::pack_int8(const Panel& panel) const {
  const int rows = panel.rows, groups = block_ / format_.group;
  const int64_t block_bytes = int64_t{rows} * (block_ + 4 * (1 + groups));
  for (int m = 0; m < rows; ++m) {
    uint8_t* out = packed_.as<uint8_t>() + panel.row * row_bytes_;
    for (int64_t begin = 0; begin < cols_; begin += block_, out += block_bytes) {
      float buffer[kTileCols];
      const int64_t count = std::min<int64_t>(block_, cols_ - begin);
      const float* x = load_row(a_, (panel.row + m) * cols_ + begin, count, buffer);
      if (count < block_) {
        if (x != buffer) std::memcpy(buffer, x, static_cast<size_t>(count) * sizeof(float));
        std::fill(buffer + count, buffer + block_, 0.0f);
        x = buffer;
      }
      int8_t codes[kTileCols];
      int32_t corrections[kTileCols / 16];
      auto* parameters = reinterpret_cast<float*>(out);
      kernels_.quantize(x, block_, format_.group, multiplied_excess(format_), codes, parameters + m,
                        corrections);
      for (int g = 0; g < groups; ++g) {
        std::memcpy(parameters + (1 + g) * rows + m, corrections + g, sizeof corrections[g]);
      }
      uint8_t* words = out + 4 * rows * (1 + groups) + 4 * m;
      for (int i = 0; i < block_; i += 4, words += 4 * rows) std::memcpy(words, codes + i, 4);
    }
  }
}

}  // namespace qutlass
