// The loops around a tile of sums, for kernels that read both operands through packed panels.
//
// K is cut into blocks. A is packed once into panels of kPanelA rows, all blocks of it. The threads then take
// tiles of D; for each block, a thread packs the tile's part of B, one panel of kPanelB rows that stays in
// its caches, and multiplies it with every panel of A. Sums go from block to block in double, in the order of
// K, so the result depends neither on the tiles nor on the threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "device.h"
#include "numerics/quantized.h"
#include "primitives.h"
#include "reference/matmul_problem.h"

namespace qutlass {

constexpr int64_t kTileSums = kPanelA * kPanelB;
static_assert(kPanelB <= Epilogue::kMaxCount);

// Panels of A and of B in one tile of D.
struct TileShape {
  int64_t a_panels;
  int64_t b_panels;
};

// As large as leaves several tiles to each thread: a large tile packs B less often. 86 panels of A, 516 rows,
// make the packing of B less than a hundredth of the work; 4 of B keep the sums of a tile in the second-level
// cache.
inline TileShape choose_tile(int64_t a_panels, int64_t b_panels, int64_t threads) {
  TileShape tile{std::min<int64_t>(a_panels, 86), std::min<int64_t>(b_panels, 4)};
  const auto too_few = [&] {
    return threads > 1 && ceil_div(a_panels, tile.a_panels) * ceil_div(b_panels, tile.b_panels) < 4 * threads;
  };
  while (too_few() && tile.b_panels > 1) --tile.b_panels;
  while (too_few() && tile.a_panels > 8) tile.a_panels = ceil_div(tile.a_panels, 2);
  return tile;
}

// A Gemm has
//   int64_t blocks() const                                           blocks of K
//   int64_t panel_bytes(int64_t block, int width) const              size of a packed panel of `width` rows
//   void pack_a(int64_t block, int64_t row, void* panel) const       packs rows [row, row + kPanelA), zeros
//   beyond M void pack_b(int64_t block, int64_t row, void* panel) const       the same for B void
//   multiply(int64_t block, const void* a, const void* b, double* c) const      c[kPanelA][kPanelB] += a b^T
template <typename Gemm>
class BlockedGemm {
 public:
  BlockedGemm(Context& context, const Gemm& gemm, int64_t m, int64_t n, const Epilogue& epilogue)
      : context_(context), gemm_(gemm), m_(m), n_(n), epilogue_(epilogue) {
    for (int64_t block = 0; block < gemm.blocks(); ++block) {
      a_bytes_.push_back(aligned(gemm.panel_bytes(block, kPanelA)));
      a_offsets_.push_back(a_panel_bytes_);
      a_panel_bytes_ += a_bytes_.back();
      b_bytes_ = std::max(b_bytes_, aligned(gemm.panel_bytes(block, kPanelB)));
    }
  }

  void run() {
    // Packed A is limited to what is still small beside the operands of a model.
    constexpr int64_t kPackedBytes = int64_t{64} << 20;
    const int64_t panels = ceil_div(m_, kPanelA);
    const int64_t per_pass =
        std::clamp<int64_t>(kPackedBytes / a_panel_bytes_, std::min<int64_t>(panels, 16), panels);
    const Scratch packed(context_.memory, static_cast<size_t>(per_pass * a_panel_bytes_));
    a_ = packed.as<uint8_t>();
    for (int64_t first = 0; first < panels; first += per_pass)
      run_pass(first, std::min(per_pass, panels - first));
  }

 private:
  static int64_t aligned(int64_t bytes) { return ceil_div(bytes, 64) * 64; }

  // Panel `panel` of the pass, which has `panels` of them. Panels of one block lie together, in the order of
  // reading.
  uint8_t* a_panel(int64_t block, int64_t panel, int64_t panels) const {
    return a_ + a_offsets_[static_cast<size_t>(block)] * panels +
           a_bytes_[static_cast<size_t>(block)] * panel;
  }

  void run_pass(int64_t first_panel, int64_t panels) {
    const int64_t blocks = gemm_.blocks();
    context_.threads.parallel_for(panels * blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i / blocks, block = i % blocks;
        gemm_.pack_a(block, (first_panel + panel) * kPanelA, a_panel(block, panel, panels));
      }
    });
    const int64_t b_panels = ceil_div(n_, kPanelB);
    const TileShape tile = choose_tile(panels, b_panels, context_.threads.threads());
    const int64_t tiles_a = ceil_div(panels, tile.a_panels), tiles_b = ceil_div(b_panels, tile.b_panels);
    context_.threads.parallel_for(tiles_a * tiles_b, 1, [&](int64_t begin, int64_t end) {
      const Scratch b_panel(context_.memory, static_cast<size_t>(b_bytes_));
      const Scratch sums(context_.memory,
                         static_cast<size_t>(tile.a_panels * tile.b_panels * kTileSums) * sizeof(double));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t a_first = i / tiles_b * tile.a_panels, b_first = i % tiles_b * tile.b_panels;
        const TileShape size{std::min(tile.a_panels, panels - a_first),
                             std::min(tile.b_panels, b_panels - b_first)};
        std::memset(sums.as<void>(), 0,
                    static_cast<size_t>(size.a_panels * size.b_panels * kTileSums) * sizeof(double));
        for (int64_t block = 0; block < blocks; ++block) {
          for (int64_t p = 0; p < size.b_panels; ++p) {
            gemm_.pack_b(block, (b_first + p) * kPanelB, b_panel.as<void>());
            for (int64_t q = 0; q < size.a_panels; ++q) {
              gemm_.multiply(block, a_panel(block, a_first + q, panels), b_panel.as<void>(),
                             sums.as<double>() + (q * size.b_panels + p) * kTileSums);
            }
          }
        }
        store((first_panel + a_first) * kPanelA, b_first * kPanelB, size, sums.as<double>());
      }
    });
  }

  void store(int64_t row, int64_t col, TileShape size, const double* sums) const {
    for (int64_t q = 0; q < size.a_panels; ++q) {
      for (int64_t p = 0; p < size.b_panels; ++p, sums += kTileSums) {
        const int64_t m = row + q * kPanelA, n = col + p * kPanelB;
        const int64_t rows = std::min<int64_t>(kPanelA, m_ - m), cols = std::min<int64_t>(kPanelB, n_ - n);
        for (int64_t i = 0; i < rows; ++i) epilogue_.store(m + i, n, sums + i * kPanelB, cols);
      }
    }
  }

  Context& context_;
  const Gemm& gemm_;
  int64_t m_;
  int64_t n_;
  const Epilogue& epilogue_;
  std::vector<int64_t> a_bytes_;    // of one panel, by block
  std::vector<int64_t> a_offsets_;  // sum of a_bytes_ before the block
  int64_t a_panel_bytes_ = 0;       // of one panel, all blocks
  int64_t b_bytes_ = 0;             // of one panel, the largest block
  uint8_t* a_ = nullptr;
};

}  // namespace qutlass
