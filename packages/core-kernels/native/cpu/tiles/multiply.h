// A panel of A times the tiles of 16 rows of B, for any vector unit: included by one file per instruction
// set, which defines what 16 lanes of it are.
//
// A vector type V has Floats and Ints, 16 lanes of 32 bits each, and functions on them; V::Codes<code> has
// unsigned bytes of the next 8 columns of all rows for integer multiplications, and the values of V::kColumns
// columns of a word, less zero points, for others.
#pragma once

#include <cstdint>

#include "cpu/tiles/kernels.h"

namespace qutlass {
namespace {

// Tiles whose sums are added in float32 before they go on in double. A sum of n numbers in float32 is off by
// at most n * 2^-24 of the sum of their magnitudes: 16 products of a group and 64 groups, or 128 and 8, are
// far within 2^-16 whatever the numbers are.
constexpr int kTilesInFloat = 8;

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
template <typename V, typename Lanes>
[[gnu::noinline]] void add_to(double* sums, Lanes x) {
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
#pragma GCC unroll 24
    for (int m = 0; m < kRows; ++m) acc[m] = V::multiply(points, V::broadcast(corrections + m));
  } else {
#pragma GCC unroll 24
    for (int m = 0; m < kRows; ++m) acc[m] = V::broadcast(corrections + m);
  }
}

// Asks for words of B that come next but some. With several rows of A these are read so slowly that the
// processor does not do it by itself; with one row it does, and what is asked for is in its way.
template <int kWords>
[[gnu::always_inline]] inline void fetch_ahead(const uint8_t* b) {
  constexpr int kAhead = 2048;
  for (int i = 0; i < kWords; ++i) __builtin_prefetch(b + kAhead + i * kWordBytes);
}

// Adds the products of kCols codes. Sums of few rows are made in independent parts, to hide the latency of
// multiplications. All loops over rows and parts are unrolled, or the sums leave their registers.
template <typename V, TileCode kCode, int kCols, int kRows>
[[gnu::always_inline]] inline void add_products(const uint8_t* a, const uint8_t* b,
                                                typename V::Ints (&acc)[kRows]) {
  if constexpr (kRows == V::kMatrixRows) {
    V::template add_matrix<kCode, kCols>(a, b, acc);
    return;
  }
  using Codes = typename V::template Codes<kCode>;
  constexpr int kParts = kRows >= 4 || kCols < 32 ? 1 : 4 / kRows;
  // The first part is acc.
  typename V::Ints more[kParts][kRows];
  if constexpr (kParts > 1) {
    for (auto& part : more) {
      for (auto& sum : part) sum = V::zero_ints();
    }
  }
  constexpr int kStep = kParts == 1 ? 8 : 32;
  for (int begin = 0; begin < kCols; begin += kStep) {
#pragma GCC unroll 4
    for (int i = 0; i < kStep / 8; ++i) {
      const int k = begin + 8 * i;
      const uint8_t* const codes = b + k * (kTileRows * Codes::kBits / 8);
      if constexpr (kRows >= 4) fetch_ahead<Codes::kBits / 4>(codes);
      typename V::Ints first, second;
      Codes::bytes(codes, first, second);
      const uint8_t* const words = a + k * kRows;
      auto& even = 2 * i % kParts == 0 ? acc : more[2 * i % kParts];
      auto& odd = (2 * i + 1) % kParts == 0 ? acc : more[(2 * i + 1) % kParts];
#pragma GCC unroll 24
      for (int m = 0; m < kRows; ++m) even[m] = V::template dot<Codes::kBits>(even[m], first, words + 4 * m);
#pragma GCC unroll 24
      for (int m = 0; m < kRows; ++m) {
        odd[m] = V::template dot<Codes::kBits>(odd[m], second, words + 4 * (kRows + m));
      }
    }
  }
  for (int m = 0; m < kRows; ++m) {
    for (int p = 1; p < kParts; ++p) acc[m] = V::add(acc[m], more[p][m]);
  }
}

// Codes of A and B are multiplied as integers, a group's sums are exact; scales are applied to them.
template <typename V, TileCode kCode, TileScale kScale, int kGroup, int kBlock, int kRows>
void multiply_blocks(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t, int64_t cols,
                     double* sums) {
  using Codes = typename V::template Codes<kCode>;
  constexpr int kGroups = kBlock / kGroup;
  [[maybe_unused]] const typename V::template MatrixUnits<kRows, kGroup> units;
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
void multiply_integers(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t, int64_t cols,
                       double* sums) {
  using Codes = typename V::template Codes<kCode>;
  [[maybe_unused]] const typename V::template MatrixUnits<kRows, kGroup> units;
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
void multiply_integers_of_rows(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t,
                               int64_t cols, double* sums) {
  [[maybe_unused]] const typename V::template MatrixUnits<kRows, kTileCols> units;
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
#pragma GCC unroll 24
    for (int m = 0; m < kRows; ++m) add_to<V>(sums + m * kTileRows, acc[m]);
  }
}

// Values of A times the values of codes, which are exact, V::kColumns columns and V::kTiles tiles at a time;
// the sums of a group are scaled.
template <typename V, TileCode kCode, TileScale kScale, int kGroup, bool kZeros, int kRows>
void multiply_values(const TileFormat& format, const uint8_t* a, const uint8_t* b, int64_t next, int64_t cols,
                     double* sums) {
  using Codes = typename V::template Codes<kCode>;
  constexpr int kTiles = V::kTiles;
  // Independent sums of a row, to hide the latency of additions.
  constexpr int kParts = kRows >= 4 ? 1 : 4 / kRows;
  [[maybe_unused]] const typename V::template MatrixUnits<kRows, kGroup * 4 / V::kColumns> units;
  const TileParts parts(format);
  const TileScale wide_scale = format.scale;
  // What is multiplied with one word of A.
  const auto* at = reinterpret_cast<const float*>(a);
  add_blocks<V, kTiles * kRows>(parts, b, cols, kGroup, sums, [&](const uint8_t* tile, int begin, auto& sum) {
    const uint8_t* codes = tile + parts.codes + begin * (kTileRows * Codes::kBits / 8);
    const int group = begin / kGroup;
    typename V::Floats acc[kTiles][kRows][kParts];
    typename Codes::Zeros zeros[kTiles];
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 24
      for (auto& row : acc[t]) {
        for (auto& part : row) part = V::zero();
      }
      zeros[t] = Codes::zeros(tile + t * next + parts.zeros + group * kTileRows);
    }
    constexpr int kColumns = 32 / Codes::kBits;  // in a word
    constexpr bool kDecoded = Codes::kBits > 8;
    constexpr int kWords = kDecoded ? 4 : 1;  // at a time
    if constexpr (kRows == V::kMatrixRows) {
      V::template add_matrix<kCode, kGroup, kZeros>(at, codes, next, zeros, acc);
      at += kGroup / V::kColumns * kRows;
    }
    for (int k = 0; k < (kRows == V::kMatrixRows ? 0 : kGroup); k += kWords * kColumns) {
#pragma GCC unroll 4
      for (int w = 0; w < kWords; ++w, codes += kWordBytes) {
        // Decoded values are in a near cache, which A comes to as words of B do otherwise.
        if constexpr (kRows >= 4 && kDecoded) {
          if (w * kRows % 16 == 0) fetch_ahead<1>(reinterpret_cast<const uint8_t*>(at));
        }
#pragma GCC unroll 8
        for (int i = 0; i < kColumns / V::kColumns; ++i, at += kRows) {
#pragma GCC unroll 2
          for (int t = 0; t < kTiles; ++t) {
            if constexpr (kRows >= 4 && !kDecoded) {
              if (i == 0) fetch_ahead<1>(codes + t * next);
            }
            const auto value = Codes::template values<kZeros>(V::load(codes + t * next), i, zeros[t]);
#pragma GCC unroll 24
            for (int m = 0; m < kRows; ++m) {
              acc[t][m][i % kParts] = V::multiply_values(value, at + m, acc[t][m][i % kParts]);
            }
          }
        }
      }
    }
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
      const auto scale =
          V::template scales<kScale>(wide_scale, tile + t * next + group * parts.scales_of_group);
#pragma GCC unroll 24
      for (int m = 0; m < kRows; ++m) {
        auto& row = acc[t][m];
        for (int p = 1; p < kParts; ++p) row[0] = V::add(row[0], row[p]);
        auto& to = sum[t * kRows + m];
        to = kScale == TileScale::kNone ? V::add(to, row[0]) : V::multiply_add(row[0], scale, to);
      }
    }
  });
}

}  // namespace
}  // namespace qutlass
