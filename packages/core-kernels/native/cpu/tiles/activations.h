// The rows of A, packed in panels for products with tiles.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "cpu/tiles/kernels.h"
#include "device.h"
#include "qutlass.h"

namespace qutlass {

// Rows of A that are multiplied together.
struct Panel {
  int64_t row;
  int rows;
};

// Columns that lie together for all rows.
struct Stretch {
  int64_t begin, cols;
  int64_t row_bytes;
  uint8_t* data;

  uint8_t* panel(const Panel& panel) const { return data + panel.row * row_bytes; }
};

class Activations {
 public:
  // format: of the tiles. A dense A is rounded to int8 for kBlocks and kIntegers. For kPairs its values are
  // exact in bf16. stretch: so many columns of all rows lie together, a multiple of what is packed at a time,
  // or more than there are.
  Activations(Context& context, const qutlass_operand& a, const TileFormat& format,
              const TileKernels& kernels, Packing packing, int64_t stretch);

  const std::vector<Panel>& panels() const { return panels_; }
  int64_t row_bytes() const { return packed_bytes(padded_cols()); }
  int widest() const { return widest_; }
  Packing packing() const { return packing_; }
  const std::vector<Stretch>& stretches() const { return stretches_; }
  // For tiles of the format that A is packed for, or those decoded from them.
  TileMultiply find_multiply(const Panel& panel, const TileFormat& tiles) const {
    return kernels_.find(tiles, packing_, static_cast<int>(block_), panel.rows);
  }
  // The scale of a row, where it has just one; else 1.
  double factor(int64_t row) const {
    return row_scales_.empty() ? 1.0 : row_scales_[static_cast<size_t>(row)];
  }
  // Whether there are values that are too small for kPairs.
  bool holds_small() const { return holds_small_; }
  // What one in packed values of A times one in what they are multiplied with is worth under their scales.
  double unit() const;

 private:
  struct Buffers;
  struct WordOrder;

  WordOrder word_order(int rows) const;
  void pack_values(const Panel& panel, const Buffers& buffers);
  void pack_codes(const Panel& panel, const Buffers& buffers);
  // Columns [begin, begin + count) of a row as float32, then zeros up to `padded` columns, without the scale
  // of the whole row of a quantized one.
  const float* load_values(int64_t row, int64_t begin, int64_t count, int64_t padded, float* buffer);
  // Columns [begin, begin + count) of a row of codes as integers.
  void load_codes(int64_t row, int64_t begin, int64_t count, int8_t* out) const;
  float load_scale_of(int64_t row, int64_t column) const;
  int64_t padded_cols() const { return (cols_ + block_ - 1) / block_ * block_; }
  // Of so many columns of a row, whole blocks.
  int64_t packed_bytes(int64_t cols) const { return cols / block_ * block_bytes_; }
  // Where a block of a panel begins.
  uint8_t* block(const Panel& panel, int64_t column) const;

  const qutlass_operand& a_;
  const TileFormat& format_;
  const TileKernels& kernels_;
  Packing packing_;
  int64_t cols_;
  int64_t block_;        // columns that are packed at a time, zeros after the last of the row
  int64_t corrected_;    // columns that share a correction
  int64_t block_bytes_;  // of one row
  int64_t stretch_;
  int widest_;  // rows of the widest panel
  std::vector<Panel> panels_;
  std::vector<double> row_scales_;
  std::atomic<bool> holds_small_ = false;
  Scratch packed_;
  std::vector<Stretch> stretches_;
};

}  // namespace qutlass
