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
              const TileKernels& kernels, const Activations& a)
      : problem_(problem),
        format_(format),
        kernels_(kernels),
        a_(a),
        tile_row_bytes_(tile_row_bytes(format, operand_cols(problem.b))),
        factor_(a.unit() * epilogue_factor(problem)),
        bias_buffer_(context.memory, problem.bias.data && problem.bias.dtype != QUTLASS_F32
                                         ? static_cast<size_t>(problem.bias.shape[0]) * sizeof(float)
                                         : 0) {
    if (problem.bias.data) {
      bias_ = load_row(problem.bias, 0, problem.bias.shape[0], bias_buffer_.as<float>());
    }
  }

  void run(const Panel& panel, int64_t column_block) const {
    alignas(64) double sums[kMaxRows * kTileRows];
    std::fill_n(sums, panel.rows * kTileRows, 0.0);
    const uint8_t* b =
        static_cast<const uint8_t*>(problem_.b.quantized.tiles) + column_block * tile_row_bytes_;
    a_.find_multiply(panel)(format_, a_.panel(panel), b + kFactorBytes, operand_cols(problem_.b), sums);
    const qutlass_tensor& out = problem_.out;
    const int64_t n = out.shape[1], column = column_block * kTileRows;
    const int count = static_cast<int>(std::min<int64_t>(kTileRows, n - column));
    for (int m = 0; m < panel.rows; ++m) {
      const int64_t offset = (panel.row + m) * n + column;
      float rounded[kTileRows];
      float* target = out.dtype == QUTLASS_F32 ? static_cast<float*>(out.data) + offset : rounded;
      kernels_.finish(sums + m * kTileRows, reinterpret_cast<const float*>(b),
                      factor_ * a_.factor(panel.row + m), bias_ ? bias_ + column : nullptr, count, target);
      if (target == rounded) store_row(rounded, out, offset, count);
    }
  }

 private:
  static constexpr int kMaxRows = 8;

  const qutlass_matmul_problem& problem_;
  const TileFormat& format_;
  const TileKernels& kernels_;
  const Activations& a_;
  int64_t tile_row_bytes_;
  double factor_;
  Scratch bias_buffer_;
  const float* bias_ = nullptr;
};

void multiply(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels,
              const TileFormat& format, Packing packing) {
  const Activations a(context, problem.a, format, kernels, packing);
  const TileProduct product(context, problem, format, kernels, a);
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
          product.run(a.panels()[static_cast<size_t>(p)], block);
        }
      }
    }
  });
}

void require_tiles_of_b(const qutlass_matmul_problem& problem) {
  if (!problem.b.is_quantized || !problem.b.quantized.tiles) {
    fail(QUTLASS_E_UNSUPPORTED, "b: expected a prepared weight, this kernel reads its tiles");
  }
}

}  // namespace

void require_tiles(const qutlass_matmul_problem& problem) {
  require_tiles_of_b(problem);
  if (problem.a.is_quantized) {
    fail(QUTLASS_E_UNSUPPORTED, "a: expected a dense matrix, this kernel multiplies no codes of A");
  }
}

void require_int8_tiles(const qutlass_matmul_problem& problem) {
  require_tiles_of_b(problem);
  const qutlass_format& b = problem.b.quantized.format;
  if (problem.a.is_quantized) {
    const qutlass_format& a = problem.a.quantized.format;
    if (a.element != QUTLASS_E2M1 || b.element != QUTLASS_E2M1) {
      fail(QUTLASS_E_UNSUPPORTED, "a and b: expected mxfp4 or nvfp4 where both are quantized");
    }
    return;
  }
  if (problem.accuracy != QUTLASS_ACCURACY_INT8) {
    fail(QUTLASS_E_UNSUPPORTED, "a: this kernel rounds it to int8, which has to be allowed");
  }
  if (b.element == QUTLASS_NF4) {
    fail(QUTLASS_E_UNSUPPORTED, "b: expected integers or e2m1, the values of nf4 have no common unit");
  }
}

void require_integer_tiles(const qutlass_matmul_problem& problem) {
  require_tiles_of_b(problem);
  if (!is_integer_pair(problem)) {
    fail(QUTLASS_E_UNSUPPORTED, "a and b: this kernel multiplies int8 and int4 matrices");
  }
  const qutlass_format& a = problem.a.quantized.format;
  if (a.group_cols != 0 || a.zero_point) {
    fail(QUTLASS_E_UNSUPPORTED, "a: expected a scale for whole rows, and no zero points");
  }
}

void matmul_tiles_f32(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels) {
  multiply(context, problem, kernels, tile_format(problem.b.quantized), Packing::kFloats);
}

void matmul_tiles_int8(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels) {
  const TileFormat format = tile_format(problem.b.quantized);
  const bool of_rows = format.scale == TileScale::kNone;
  multiply(context, problem, kernels, format, of_rows ? Packing::kIntegers : Packing::kBlocks);
}

void matmul_tiles_i32(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels) {
  multiply(context, problem, kernels, tile_format(problem.b.quantized), Packing::kIntegers);
}

}  // namespace qutlass
