#include "cpu/tiles/matmul_tiles.h"

#include <algorithm>

#include "check.h"
#include "cpu/tiles/activations.h"
#include "numerics/elements.h"
#include "numerics/quantized.h"
#include "reference/dense_rows.h"
#include "reference/matmul_problem.h"

namespace qutlass {

const float kNf4Values[16] = {kNf4[0], kNf4[1], kNf4[2],  kNf4[3],  kNf4[4],  kNf4[5],  kNf4[6],  kNf4[7],
                              kNf4[8], kNf4[9], kNf4[10], kNf4[11], kNf4[12], kNf4[13], kNf4[14], kNf4[15]};

namespace {

// Rows of A that are multiplied with the tiles that a core has just read: as many as stay in its second-level
// cache beside them.
constexpr int64_t kRowBlockBytes = 256 << 10;
// A piece of the result that reads less than this, counted for each row of A, takes less time than handing it
// to another thread.
constexpr int64_t kLeastBytes = 64 << 10;

// Columns [16 i, 16 i + 16) of D for panels of rows, from packed operands.
class TileProduct {
 public:
  TileProduct(Context& context, const qutlass_matmul_problem& problem, const TileFormat& format,
              const TileKernels& kernels, double unit)
      : problem_(problem),
        format_(format),
        kernels_(kernels),
        tile_row_bytes_(tile_row_bytes(format, operand_cols(problem.b))),
        factor_(unit * epilogue_factor(problem)),
        bias_buffer_(context.memory, problem.bias.data && problem.bias.dtype != QUTLASS_F32
                                         ? static_cast<size_t>(problem.bias.shape[0]) * sizeof(float)
                                         : 0) {
    if (problem.bias.data) {
      bias_ = load_row(problem.bias, 0, problem.bias.shape[0], bias_buffer_.as<float>());
    }
  }

  void run(TileMultiply multiply, const Panel& panel, const uint8_t* a, int64_t column_block) const {
    alignas(64) double sums[kMaxRows * kTileRows] = {};
    const uint8_t* b =
        static_cast<const uint8_t*>(problem_.b.quantized.tiles) + column_block * tile_row_bytes_;
    multiply(format_, a, b, operand_cols(problem_.b), sums);
    const qutlass_tensor& out = problem_.out;
    const int64_t n = out.shape[1], column = column_block * kTileRows;
    const int count = static_cast<int>(std::min<int64_t>(kTileRows, n - column));
    for (int m = 0; m < panel.rows; ++m) {
      const int64_t offset = (panel.row + m) * n + column;
      float rounded[kTileRows];
      float* target = out.dtype == QUTLASS_F32 ? static_cast<float*>(out.data) + offset : rounded;
      kernels_.finish(sums + m * kTileRows, b, factor_, bias_ ? bias_ + column : nullptr, count, target);
      if (target == rounded) store_row(rounded, out, offset, count);
    }
  }

 private:
  static constexpr int kMaxRows = 8;

  const qutlass_matmul_problem& problem_;
  const TileFormat& format_;
  const TileKernels& kernels_;
  int64_t tile_row_bytes_;
  double factor_;
  Scratch bias_buffer_;
  const float* bias_ = nullptr;
};

void multiply(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels,
              Rounding rounding) {
  const TileFormat format = tile_format(problem.b.quantized);
  const Activations a(context, problem.a.dense, format, kernels, rounding);
  const bool int8 = rounding == Rounding::kInt8;
  const TileProduct product(context, problem, format, kernels, int8 ? multiplied_unit(format) : 1.0);
  const auto find = int8 ? kernels.find_int8 : kernels.find_f32;
  const auto panels = static_cast<int64_t>(a.panels().size());

  const int64_t per_row_block =
      std::clamp<int64_t>(kRowBlockBytes / (a.row_bytes() * kernels.rows), 1, panels);
  const int64_t row_blocks = ceil_div(panels, per_row_block);
  const int64_t column_blocks = ceil_div(operand_rows(problem.b), kTileRows);
  const int64_t rows = std::min<int64_t>(operand_rows(problem.a), per_row_block * kernels.rows);
  const int64_t bytes = tile_row_bytes(format, operand_cols(problem.b)) * rows;
  // Several pieces for each thread, since threads may be interrupted.
  const int64_t even = ceil_div(column_blocks, 8 * context.threads.threads());
  const int64_t per_piece = std::clamp<int64_t>(std::max(even, kLeastBytes / bytes), 1, column_blocks);
  const int64_t pieces = ceil_div(column_blocks, per_piece);
  context.threads.parallel_for(row_blocks * pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / pieces * per_row_block, last = std::min(first + per_row_block, panels);
      const int64_t column = i % pieces * per_piece, stop = std::min(column + per_piece, column_blocks);
      for (int64_t block = column; block < stop; ++block) {
        for (int64_t p = first; p < last; ++p) {
          const Panel& panel = a.panels()[static_cast<size_t>(p)];
          product.run(find(format, panel.rows), panel, a.panel(panel), block);
        }
      }
    }
  });
}

}  // namespace

void require_tiles(const qutlass_matmul_problem& problem) {
  if (problem.a.is_quantized)
    fail(QUTLASS_E_UNSUPPORTED, "a: expected a dense matrix, this kernel multiplies no codes of A");
  if (!problem.b.is_quantized || !problem.b.quantized.tiles) {
    fail(QUTLASS_E_UNSUPPORTED, "b: expected a prepared weight, this kernel reads its tiles");
  }
}

void require_int8_tiles(const qutlass_matmul_problem& problem) {
  require_tiles(problem);
  if (problem.accuracy != QUTLASS_ACCURACY_INT8) {
    fail(QUTLASS_E_UNSUPPORTED, "a: this kernel rounds it to int8, which has to be allowed");
  }
  if (problem.b.quantized.format.element == QUTLASS_NF4) {
    fail(QUTLASS_E_UNSUPPORTED, "b: expected integers or e2m1, the values of nf4 have no common unit");
  }
}

void matmul_tiles_f32(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels) {
  multiply(context, problem, kernels, Rounding::kNone);
}

void matmul_tiles_int8(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels) {
  multiply(context, problem, kernels, Rounding::kInt8);
}

}  // namespace qutlass
