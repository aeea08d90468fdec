// The inner loops of products with tiles, once per instruction set. As primitives.h, this header needs no
// others that a file compiled for an instruction set could emit inline functions of.
#pragma once

#include <cstdint>

#include "cpu/tiles/layout.h"

namespace qutlass {

// Adds to sums[row][16] the products of a panel of rows of A, packed for the multiplication, with the tiles
// of 16 rows of B along `cols` columns, their factors left out.
using TileMultiply = void (*)(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t cols,
                              double* sums);

struct TileKernels {
  // The widest panel of A; the others have 4, 2 and 1 rows.
  int rows;
  // Panels of int8 in blocks of quantized_block(format) columns: float32 scales [row]; for each group of B
  // the correction [row], an int32, that stands for the excess or the zero points of its codes; then codes
  // [column / 4][row][4]. Null: not for this format.
  TileMultiply (*find_int8)(const TileFormat& format, int rows);
  // Panels of float32, [column][row], zeros up to a whole group. Null: not for this format.
  TileMultiply (*find_f32)(const TileFormat& format, int rows);
  // Rounds `cols` values to int8 with the scale amax / 127, which is NaN where a value is not finite.
  // corrections: -excess times the sum of each group.
  void (*quantize)(const float* x, int cols, int group, int excess, int8_t* codes, float* scale,
                   int32_t* corrections);
  // out = factor * factors * sums + bias for the first `count` of 16 columns; bias may be null. factors:
  // float32 at any address, as a weight is bytes.
  void (*finish)(const double* sums, const uint8_t* factors, double factor, const float* bias, int count,
                 float* out);
};

// Columns of A that share a scale: those of a group of B, at least 32.
constexpr int quantized_block(const TileFormat& format) { return format.group < 32 ? 32 : format.group; }

// What a code that int8 panels are multiplied with exceeds its value by, and is a multiple of: e2m1 becomes
// an integer when doubled, and unsigned when 12 is added.
constexpr int multiplied_excess(const TileFormat& format) {
  return format.zero_points ? 1 : format.code == TileCode::kE2M1 ? 12 : format.excess();
}
constexpr double multiplied_unit(const TileFormat& format) {
  return format.code == TileCode::kE2M1 ? 0.5 : 1.0;
}

// The quantiles of nf4, for look-ups.
extern const float kNf4Values[16];

extern const TileKernels kAvx2TileKernels;
extern const TileKernels kAvx512TileKernels;

}  // namespace qutlass
