// A panel of A times the tiles of 16 rows of B, for any vector unit: included by one file per instruction
// set, which defines what 16 lanes of it are.
//
// A vector type V has Floats and Ints, 16 lanes of 32 bits each, and functions on them; V::Codes<code> has
// unsigned bytes of the next 8 columns of all rows for integer multiplications, and the values of one column
// of a word as floats, as unsigned integers where zero points are to be subtracted.
#pragma once

#include <cstdint>

#include "cpu/tiles/kernels.h"

namespace qutlass {
namespace {

// Tiles whose sums are added in float32 before they go on in double. A sum of n numbers in float32 is off by
// at most n * 2^-24 of the sum of their magnitudes: 16 products of a group and 32 groups, or 128 and 4, are
// far within 2^-16 whatever the numbers are.
constexpr int kTilesInFloat = 4;

// Where the parts of a tile are, worked out before the loops.
struct TileParts {
  int scales_of_group, zeros, codes, bytes;
  bool zero_points;

  explicit TileParts(const TileFormat& format)
      : scales_of_group(kTileRows * format.scale_bytes()),
        zeros(format.zeros_offset()),
        codes(format.codes_offset()),
        bytes(format.tile_bytes()),
        zero_points(format.zero_points) {}
};

// Adds floats to sums. As a call of its own, so that compilers keep no sums in registers, which the loops
// need.
template <typename V>
[[gnu::noinline]] void add_to(double* sums, typename V::Floats x) {
  V::add_to(sums, x);
}

// Calls step(tile, first column in it, sum of floats for each row) for every block of columns and adds what
// becomes of the sums to `sums`.
template <typename V, int kRows, typename Step>
[[gnu::always_inline]] inline void add_blocks(const TileParts& parts, const uint8_t* tile, int64_t cols,
                                              int block, double* sums, Step&& step) {
  while (cols > 0) {
    typename V::Floats sum[kRows];
    for (int m = 0; m < kRows; ++m) sum[m] = V::zero();
    for (int t = 0; t < kTilesInFloat && cols > 0; ++t) {
      const int64_t end = cols < kTileCols ? cols : kTileCols;
      for (int begin = 0; begin < end; begin += block) step(tile, begin, sum);
      cols -= kTileCols;
      tile += parts.bytes;
    }
    for (int m = 0; m < kRows; ++m) add_to<V>(sums + m * kTileRows, sum[m]);
  }
}

// What the sums of the products of a group begin with, in place of zero.
template <typename V, int kRows>
[[gnu::always_inline]] inline void begin_sums(const TileParts& parts, const uint8_t* zeros,
                                              const int32_t* corrections, typename V::Ints (&acc)[kRows]) {
  if (parts.zero_points) {
    const auto points = V::bytes(zeros);
    for (int m = 0; m < kRows; ++m) acc[m] = V::multiply(points, V::broadcast(corrections + m));
  } else {
    for (int m = 0; m < kRows; ++m) acc[m] = V::broadcast(corrections + m);
  }
}

// Adds the products of kCols codes.
template <typename V, TileCode kCode, int kCols, int kRows>
[[gnu::always_inline]] inline void add_products(const uint8_t* a, const uint8_t* b,
                                                typename V::Ints (&acc)[kRows]) {
  using Codes = typename V::template Codes<kCode>;
  // Independent sums of a row, to hide the latency of multiplications.
  constexpr int kParts = kRows >= 4 || kCols < 32 ? 1 : 4 / kRows;
  typename V::Ints parts[kParts][kRows];
  for (int p = 1; p < kParts; ++p) {
    for (int m = 0; m < kRows; ++m) parts[p][m] = V::zero_ints();
  }
  for (int m = 0; m < kRows; ++m) parts[0][m] = acc[m];
  constexpr int kStep = kCols < 32 ? kCols : 32;
  for (int begin = 0; begin < kCols; begin += kStep) {
    // Indices of parts have to be constants, or these leave their registers.
#pragma GCC unroll 4
    for (int i = 0; i < kStep / 8; ++i) {
      const int k = begin + 8 * i;
      typename V::Ints first, second;
      Codes::bytes(b + k * (kTileRows * Codes::kBits / 8), first, second);
      const uint8_t* const words = a + k * kRows;
      auto& even = parts[2 * i % kParts];
      auto& odd = parts[(2 * i + 1) % kParts];
      for (int m = 0; m < kRows; ++m) even[m] = V::template dot<Codes::kBits>(even[m], first, words + 4 * m);
      for (int m = 0; m < kRows; ++m) {
        odd[m] = V::template dot<Codes::kBits>(odd[m], second, words + 4 * (kRows + m));
      }
    }
  }
  for (int m = 0; m < kRows; ++m) {
    acc[m] = parts[0][m];
    for (int p = 1; p < kParts; ++p) acc[m] = V::add(acc[m], parts[p][m]);
  }
}

// Codes of A and B are multiplied as integers, a group's sums are exact; scales are applied to them.
template <typename V, TileCode kCode, TileScale kScale, int kGroup, int kBlock, int kRows>
void multiply_blocks(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t cols,
                     double* sums) {
  using Codes = typename V::template Codes<kCode>;
  constexpr int kGroups = kBlock / kGroup;
  const TileParts parts(format);
  const TileScale wide_scale = format.scale;
  const uint8_t* at = a;
  add_blocks<V, kRows>(parts, b, cols, kBlock, sums, [&](const uint8_t* tile, int begin, auto& sum) {
    const auto* a_scales = reinterpret_cast<const float*>(at);
    const auto* corrections = reinterpret_cast<const int32_t*>(at) + kRows;
    const uint8_t* codes = tile + parts.codes + begin * (kTileRows * Codes::kBits / 8);
    at += 4 * kRows * (1 + kGroups);
    typename V::Floats part[kRows];
    for (int g = 0; g < kGroups; ++g) {
      const int group = begin / kGroup + g;
      typename V::Ints acc[kRows];
      begin_sums<V>(parts, tile + parts.zeros + group * kTileRows, corrections + g * kRows, acc);
      add_products<V, kCode, kGroup>(at, codes, acc);
      at += kGroup * kRows;
      codes += kGroup * (kTileRows * Codes::kBits / 8);
      const auto scale = V::template scales<kScale>(wide_scale, tile + group * parts.scales_of_group);
      for (int m = 0; m < kRows; ++m) {
        const auto exact = V::to_floats(acc[m]);
        part[m] = g == 0 ? V::multiply(exact, scale) : V::multiply_add(exact, scale, part[m]);
      }
    }
    for (int m = 0; m < kRows; ++m) sum[m] = V::multiply_add(part[m], V::broadcast(a_scales + m), sum[m]);
  });
}

// The same for rows of A that have one scale, which is left out. The products are exact, and so are their
// sums but for double's rounding, as is asked of integers.
template <typename V, TileCode kCode, TileScale kScale, int kGroup, int kRows>
void multiply_integers(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t cols,
                       double* sums) {
  using Codes = typename V::template Codes<kCode>;
  const TileParts parts(format);
  const TileScale wide_scale = format.scale;
  for (; cols > 0; cols -= kTileCols, b += parts.bytes) {
    const int64_t end = cols < kTileCols ? cols : kTileCols;
    const uint8_t* codes = b + parts.codes;
    for (int group = 0; group * kGroup < end; ++group) {
      typename V::Ints acc[kRows];
      begin_sums<V>(parts, b + parts.zeros + group * kTileRows, reinterpret_cast<const int32_t*>(a), acc);
      add_products<V, kCode, kGroup>(a + 4 * kRows, codes, acc);
      const auto scale = V::template scales<kScale>(wide_scale, b + group * parts.scales_of_group);
      for (int m = 0; m < kRows; ++m) V::add_to(sums + m * kTileRows, acc[m], scale);
      a += (4 + kGroup) * kRows;
      codes += kGroup * (kTileRows * Codes::kBits / 8);
    }
  }
}

// The same where rows of B have one scale too: sums of 32 bits go on from tile to tile.
template <typename V, TileCode kCode, int kRows>
void multiply_integers_of_rows(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t cols,
                               double* sums) {
  const TileParts parts(format);
  while (cols > 0) {
    typename V::Ints acc[kRows];
    begin_sums<V>(parts, b + parts.zeros, reinterpret_cast<const int32_t*>(a), acc);
    a += 4 * kRows;
    for (int64_t end = cols < kIntegerCols ? 0 : cols - kIntegerCols; cols > end; cols -= kTileCols) {
      add_products<V, kCode, kTileCols>(a, b + parts.codes, acc);
      a += kTileCols * kRows;
      b += parts.bytes;
    }
    for (int m = 0; m < kRows; ++m) V::add_to(sums + m * kTileRows, acc[m]);
  }
}

// Values of A times the values of codes, which are exact; the sums of a group are scaled.
template <typename V, TileCode kCode, TileScale kScale, int kGroup, bool kZeros, int kRows>
void multiply_f32(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t cols, double* sums) {
  using Codes = typename V::template Codes<kCode>;
  // Independent sums of a row, to hide the latency of additions.
  constexpr int kParts = kRows >= 4 ? 1 : 4 / kRows;
  const TileParts parts(format);
  const TileScale wide_scale = format.scale;
  const auto* at = reinterpret_cast<const float*>(a);
  add_blocks<V, kRows>(parts, b, cols, kGroup, sums, [&](const uint8_t* tile, int begin, auto& sum) {
    const uint8_t* codes = tile + parts.codes + begin * (kTileRows * Codes::kBits / 8);
    const int group = begin / kGroup;
    typename V::Floats acc[kRows][kParts], zeros = V::zero();
    for (auto& row : acc) {
      for (auto& part : row) part = V::zero();
    }
    if constexpr (kZeros) zeros = V::to_floats(V::bytes(tile + parts.zeros + group * kTileRows));
    constexpr int kColumns = 32 / Codes::kBits;  // in a word
    for (int k = 0; k < kGroup; k += kColumns, codes += kWordBytes) {
      const auto word = V::load(codes);
      for (int i = 0; i < kColumns; ++i, at += kRows) {
        auto value = Codes::template values<kZeros>(word, i);
        if constexpr (kZeros) value = V::subtract(value, zeros);
        for (int m = 0; m < kRows; ++m) {
          acc[m][i % kParts] = V::multiply_add(value, V::broadcast(at + m), acc[m][i % kParts]);
        }
      }
    }
    const auto scale = V::template scales<kScale>(wide_scale, tile + group * parts.scales_of_group);
    for (int m = 0; m < kRows; ++m) {
      for (int p = 1; p < kParts; ++p) acc[m][0] = V::add(acc[m][0], acc[m][p]);
      sum[m] =
          kScale == TileScale::kNone ? V::add(sum[m], acc[m][0]) : V::multiply_add(acc[m][0], scale, sum[m]);
    }
  });
}

}  // namespace
}  // namespace qutlass
