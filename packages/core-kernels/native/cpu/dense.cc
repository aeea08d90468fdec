#include "cpu/dense.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "check.h"
#include "numerics/quantized.h"
#include "reference/dense_rows.h"
#include "reference/matmul_problem.h"

namespace qutlass {
namespace {

// Blocks whose sums stay in float32: a lane has 32 products of a block, and n numbers that are added in
// float32 are off by at most n * 2^-24 of the sum of their magnitudes, here 2^-17.
constexpr int64_t kBlocksInFloat = 4;
// Rows of A that are multiplied with the rows of B that a core has just read: those of a block stay in its
// second-level cache.
constexpr int64_t kRowsTogether = 64;
constexpr int64_t kTileLanes = kDotRows * kDotCols * kDotLanes;

// A in blocks along K, in each of them panels of rows: [block][row][kDotBlock].
class PackedRows {
 public:
  PackedRows(Context& context, const qutlass_tensor& a)
      : rows_(a.shape[0]),
        packed_(context.memory,
                static_cast<size_t>(rows_ * ceil_div(a.shape[1], kDotBlock) * kDotBlock) * sizeof(float)) {
    const int64_t k = a.shape[1];
    context.threads.parallel_for(rows_, rows_per_piece(k), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t block = 0; block * kDotBlock < k; ++block) pack(a, row, block);
      }
    });
  }

  const float* rows(int64_t block, int64_t row) const { return at(block, row); }

 private:
  float* at(int64_t block, int64_t row) const {
    return packed_.as<float>() + (block * rows_ + row) * kDotBlock;
  }
  void pack(const qutlass_tensor& a, int64_t row, int64_t block) const {
    const int64_t begin = block * kDotBlock, count = std::min<int64_t>(kDotBlock, a.shape[1] - begin);
    float* out = at(block, row);
    const float* values = load_row(a, row * a.shape[1] + begin, count, out);
    if (values != out) std::memcpy(out, values, static_cast<size_t>(count) * sizeof(float));
    std::fill(out + count, out + kDotBlock, 0.0f);
  }

  int64_t rows_;
  Scratch packed_;
};

int panel_rows(int64_t rows) { return rows >= kDotRows ? kDotRows : rows >= 2 ? 2 : 1; }

// Of 4 rows, then of 2 and of 1.
int64_t panels_of(int64_t rows) {
  return rows / kDotRows + std::popcount(static_cast<uint64_t>(rows % kDotRows));
}

// Rows [first, last) of A with kDotCols rows of B from `col` on.
class DenseProduct {
 public:
  DenseProduct(const qutlass_matmul_problem& problem, const PackedRows& a, const DotLoops& loops)
      : b_(problem.b.dense), a_(a), loops_(loops), epilogue_(problem) {}

  void run(int64_t first, int64_t last, int64_t col, float* lanes, double* sums) const {
    const int64_t k = b_.shape[1], cols = std::min<int64_t>(kDotCols, b_.shape[0] - col);
    const int64_t width = dtype_bytes(b_.dtype);
    std::memset(lanes, 0, static_cast<size_t>(panels_of(last - first) * kTileLanes) * sizeof(float));
    std::memset(sums, 0, static_cast<size_t>((last - first) * kDotCols) * sizeof(double));
    for (int64_t block = 0, begin = 0; begin < k; ++block, begin += kDotBlock) {
      const void* b[kDotCols];
      for (int64_t c = 0; c < kDotCols; ++c) {
        // Beyond the last row stands that row, and its sums are not stored.
        b[c] = static_cast<const uint8_t*>(b_.data) + ((col + std::min(c, cols - 1)) * k + begin) * width;
      }
      const int64_t count = std::min<int64_t>(kDotBlock, k - begin);
      const bool gathers = (block + 1) % kBlocksInFloat == 0 || begin + kDotBlock >= k;
      float* tile = lanes;
      for (int64_t row = first; row < last; tile += kTileLanes) {
        const int rows = panel_rows(last - row);
        loops_.find(b_.dtype, rows)(a_.rows(block, row), b, count, tile);
        if (gathers) loops_.gather(tile, rows * kDotCols, sums + (row - first) * kDotCols);
        row += rows;
      }
    }
    for (int64_t row = first; row < last; ++row) {
      epilogue_.store(row, col, sums + (row - first) * kDotCols, cols);
    }
  }

 private:
  const qutlass_tensor& b_;
  const PackedRows& a_;
  const DotLoops& loops_;
  Epilogue epilogue_;
};

}  // namespace

void require_dense(const qutlass_matmul_problem& problem) {
  if (problem.a.is_quantized || problem.b.is_quantized)
    fail(QUTLASS_E_UNSUPPORTED, "a and b: expected dense matrices, this kernel decodes no codes");
}

void matmul_dense(Context& context, const qutlass_matmul_problem& problem, const DotLoops& loops) {
  const int64_t m = operand_rows(problem.a), n = operand_rows(problem.b), k = operand_cols(problem.b);
  const PackedRows a(context, problem.a.dense);
  const DenseProduct product(problem, a, loops);
  const int64_t row_blocks = ceil_div(m, kRowsTogether), column_blocks = ceil_div(n, kDotCols);
  // A piece reads at least 64 KiB of B for each row, less of it takes less time than another thread needs to
  // begin.
  constexpr int64_t kLeastElements = 16 << 10;
  const int64_t even = ceil_div(column_blocks, 8 * context.threads.threads());
  const int64_t least = kLeastElements / (k * kDotCols * std::min(m, kRowsTogether));
  const int64_t per_piece = std::clamp<int64_t>(std::max(even, least), 1, column_blocks);
  const int64_t pieces = ceil_div(column_blocks, per_piece);
  context.threads.parallel_for(row_blocks * pieces, 1, [&](int64_t begin, int64_t end) {
    // Rows beyond a multiple of kDotRows have two panels at most.
    const int64_t panels = std::min(kRowsTogether, m) / kDotRows + 2;
    const Scratch lanes(context.memory, static_cast<size_t>(panels * kTileLanes) * sizeof(float));
    double sums[kRowsTogether * kDotCols];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / pieces * kRowsTogether, last = std::min(first + kRowsTogether, m);
      const int64_t from = i % pieces * per_piece, to = std::min(from + per_piece, column_blocks);
      for (int64_t block = from; block < to; ++block) {
        product.run(first, last, block * kDotCols, lanes.as<float>(), sums);
      }
    }
  });
}

}  // namespace qutlass
