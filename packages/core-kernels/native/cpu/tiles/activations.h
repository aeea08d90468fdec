// A dense A, packed in panels for products with tiles.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/tiles/kernels.h"
#include "device.h"
#include "qutlass.h"

namespace qutlass {

enum class Rounding { kNone, kInt8 };

// Rows of A that are multiplied together.
struct Panel {
  int64_t row;
  int rows;
};

class Activations {
 public:
  Activations(Context& context, const qutlass_tensor& a, const TileFormat& format, const TileKernels& kernels,
              Rounding rounding);

  const std::vector<Panel>& panels() const { return panels_; }
  int64_t row_bytes() const { return row_bytes_; }
  const uint8_t* panel(const Panel& panel) const { return packed_.as<uint8_t>() + panel.row * row_bytes_; }

 private:
  void pack_f32(const Panel& panel) const;
  void pack_int8(const Panel& panel) const;

  const qutlass_tensor& a_;
  const TileFormat& format_;
  const TileKernels& kernels_;
  int64_t cols_;
  int block_;          // columns that are packed at a time, zeros after the last of the row
  int64_t row_bytes_;  // of a packed row
  std::vector<Panel> panels_;
  Scratch packed_;
};

}  // namespace qutlass
