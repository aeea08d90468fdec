// The inner loops of products with tiles, once per instruction set. As primitives.h, this header needs no
// others that a file compiled for an instruction set could emit inline functions of.
#pragma once

#include <cstdint>

#include "cpu/tiles/layout.h"

namespace qutlass {

// How rows of A lie in a panel, whose parts repeat along K.
enum class Packing {
  // Blocks of one group of B, float32 [column][row].
  kFloats,
  // The same in bf16, [pair of columns][row][2], in the order of kPairOrder: values that are exact in it,
  // none
  // but zero smaller than kLeastOfPairs. So products with values of codes, which are multiples of 2^-16, and
  // their sums are never subnormal.
  kPairs,
  // Blocks of at least one group of B: float32 scales [row]; for each group the correction [row], an int32
  // that stands for the excess or the zero points of B's codes; then int8 codes [column / 4][row][4].
  kBlocks,
  // The same with one scale for the row, which is not in the panel. If B has one for its rows too, a block is
  // as long as sums of 32 bits allow, and counts as a single group.
  kIntegers,
};

inline constexpr float kLeastOfPairs = 0x1p-64f;
// Columns of a word, four or eight, in the order in which pairs are multiplied.
inline constexpr int kPairOrder[2][8] = {{0, 2, 1, 3}, {0, 2, 4, 6, 1, 3, 5, 7}};

// Columns whose products fit sums of 32 bits, with what is to be subtracted: 255 * 128 * 2^15 is below
// 2^30.1.
inline constexpr int kIntegerCols = 1 << 15;

// Adds to sums[row][16] the products of a panel of rows of A with the tiles of 16 rows of B along `cols`
// columns, their factors left out. Kernels that take two of these 16 rows at a time find the others `next`
// bytes further, which may be 0, and add to sums[2][row][16].
using TileMultiply = void (*)(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t next,
                              int64_t cols, double* sums);

// What tiles become that are decoded once for several panels: tiles of values in the order in which these are
// multiplied. float32 values are multiplied with their scales on the way, unless that could leave the range
// of float32; pairs would not be exact under theirs.
constexpr TileFormat decoded_format(const TileFormat& format, Packing packing) {
  const bool pairs = packing == Packing::kPairs;
  const bool scaled = !pairs && (format.scale == TileScale::kE4M3 || format.scale == TileScale::kF16);
  return {pairs ? TileCode::kBF16 : TileCode::kF32, scaled ? TileScale::kNone : format.scale, format.group,
          false};
}

// Decodes the tiles of `cols` columns of 16 rows of B.
using TileDecode = void (*)(const TileFormat& format, const uint8_t* b, int64_t cols, uint8_t* out);

// Rows that a panel may have.
inline constexpr int kMostRows = 32;
inline constexpr int kMostTiles = 2;

struct TileKernels {
  // How many 16 rows of B are multiplied at a time: 1 or 2.
  int tiles;
  // Panels of so many rows have their words as matrices [row][column], each of the columns that share a
  // correction, or of a tile if that is less; 0: none do.
  int matrix_rows;
  // Rows of the widest panels of A; the others have 8, 4, 2 and 1.
  int (*rows)(const TileFormat& format, Packing packing);
  // Panels in blocks of so many columns. Null: not for this format.
  TileMultiply (*find)(const TileFormat& format, Packing packing, int block, int rows);
  // For A with so many rows tiles are decoded once for all panels; fewer multiply codes.
  int decoding_rows;
  // Null: codes are always decoded where they are multiplied.
  TileDecode (*find_decode)(const TileFormat& format, Packing packing);
  // The scale of `cols` values that are rounded to int8, amax / 127; NaN where one is not finite.
  float (*int8_scale)(const float* x, int64_t cols);
  // Codes under this scale; zeros if it is NaN.
  void (*round)(const float* x, int64_t cols, float scale, int8_t* codes);
  // -excess times the sum of each group of `group` codes.
  void (*correct)(const int8_t* codes, int64_t cols, int64_t group, int excess, int32_t* corrections);
  // out[m][i] = row_factors[m] * factors[i] * sums[m][i] + bias[i] for `rows` rows, `stride` apart in out,
  // and the first `count` of 16 columns; bias may be null. factors: float32 at any address, as a weight is
  // bytes.
  void (*finish)(const double* sums, int rows, const double* row_factors, const uint8_t* factors,
                 const float* bias, int count, float* out, int64_t stride);
};

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

// The two bytes of the values of fp8 in bf16, by their codes without the sign.
struct Fp8Bytes {
  uint8_t low[128], high[128];
};
extern const Fp8Bytes kE4M3Bytes, kE5M2Bytes;

extern const TileKernels kAvx2TileKernels;
extern const TileKernels kAvx512TileKernels;
// Only for Packing::kPairs.
extern const TileKernels kAvx512Bf16TileKernels;
// Those of AVX-512 but for panels of 32 rows.
extern const TileKernels kAmxTileKernels;
extern const TileKernels kAmxBf16TileKernels;

}  // namespace qutlass
