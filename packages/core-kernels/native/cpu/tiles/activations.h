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

class Activations {
 public:
  // format: of the tiles. A dense A is rounded to int8 for kBlocks and kIntegers. For kPairs its values are
  // exact in bf16.
  Activations(Context& context, const qutlass_operand& a, const TileFormat& format,
              const TileKernels& kernels, Packing packing);

  const std::vector<Panel>& panels() const { return panels_; }
  int64_t row_bytes() const { return row_bytes_; }
  int widest() const { return widest_; }
  const uint8_t* panel(const Panel& panel) const { return packed_.as<uint8_t>() + panel.row * row_bytes_; }
  TileMultiply find_multiply(const Panel& panel) const {
    return kernels_.find(format_, packing_, static_cast<int>(block_), panel.rows);
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
  // A row as float32, zeros after its end, without the scale of the whole row of a quantized one.
  const float* load_values(int64_t row, float* buffer);
  // Columns [begin, begin + count) of a row of codes as integers.
  void load_codes(int64_t row, int64_t begin, int64_t count, int8_t* out) const;
  float load_scale_of(int64_t row, int64_t column) const;
  int64_t padded_cols() const { return (cols_ + block_ - 1) / block_ * block_; }

  const qutlass_operand& a_;
  const TileFormat& format_;
  const TileKernels& kernels_;
  Packing packing_;
  int64_t cols_;
  int64_t block_;        // columns that are packed at a time, zeros after the last of the row
  int64_t corrected_;    // columns that share a correction
  int64_t block_bytes_;  // of one row
  int64_t row_bytes_;    // of a packed row
  int widest_;           // rows of the widest panel
  std::vector<Panel> panels_;
  std::vector<double> row_scales_;
  std::atomic<bool> holds_small_ = false;
  Scratch packed_;
};

}  // namespace qutlass
