#include "cpu/tiles/matmul_tiles.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <iterator>

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

constexpr Fp8Bytes fp8_bytes(int32_t element) {
  Fp8Bytes bytes{};
  for (uint32_t code = 0; code < 128; ++code) {
    const auto bits = std::bit_cast<uint32_t>(decode_element(element, static_cast<uint8_t>(code)));
    bytes.low[code] = static_cast<uint8_t>(bits >> 16);
    bytes.high[code] = static_cast<uint8_t>(bits >> 24);
  }
  return bytes;
}

}  // namespace

const Fp8Bytes kE4M3Bytes = fp8_bytes(QUTLASS_E4M3), kE5M2Bytes = fp8_bytes(QUTLASS_E5M2);

namespace {

// Rows of A that are multiplied with the tiles that a core has just read: as many as stay in its second-level
// cache beside them. Tiles come from the next one once for each of these blocks.
int64_t row_block_bytes() {
  static const int64_t bytes = std::max<int64_t>(256 << 10, sysconf(_SC_LEVEL2_CACHE_SIZE) / 4 * 3);
  return bytes;
}

// A piece of the result that reads less than this, counted for each row of A, takes less time than handing it
// to another thread.
constexpr int64_t kLeastBytes = 64 << 10;

// Tiles that have been decoded stay in the second-level cache while so many rows of A are multiplied with
// them, whose columns of a stretch come from the next one, once for each of these blocks. Fewer rows, where
// threads would go without work.
constexpr int64_t kDecodedRows = 512, kLeastDecodedRows = 128, kDecodedTiles = 4, kDecodedCols = 1024;

// How a product is divided.
struct Blocks {
  int64_t panels;  // of A that are multiplied with the same tiles, one after the other
  int64_t tiles;   // 16 rows of B each
};

TileDecode find_decode(const qutlass_matmul_problem& problem, const TileFormat& format,
                       const TileKernels& kernels, Packing packing) {
  return operand_rows(problem.a) < kernels.decoding_rows ? nullptr : kernels.find_decode(format, packing);
}

// A, packed for these kernels.
Activations pack(Context& context, const qutlass_matmul_problem& problem, const TileFormat& format,
                 const TileKernels& kernels, Packing packing) {
  const bool decodes = find_decode(problem, format, kernels, packing) != nullptr;
  return {context, problem.a, format, kernels, packing, decodes ? kDecodedCols : INT64_MAX};
}

Blocks find_blocks(const Context& context, const qutlass_matmul_problem& problem, const Activations& a,
                   const TileKernels& kernels, bool decodes) {
  const auto panels = static_cast<int64_t>(a.panels().size());
  if (!decodes) {
    return {std::clamp<int64_t>(row_block_bytes() / (a.row_bytes() * a.widest()), 1, panels), kernels.tiles};
  }
  const int64_t columns = ceil_div(operand_rows(problem.b), kDecodedTiles * kTileRows);
  const int64_t share = panels * columns / (4 * context.threads.threads());
  return {std::clamp(share, kLeastDecodedRows / a.widest(), kDecodedRows / a.widest()), kDecodedTiles};
}

// Asks for the first tile of the next 16 rows while sums are finished. A single row of A reads B as fast as
// memory brings it, and what is asked for by itself ends here.
inline void ask_for(const uint8_t* b) {
  constexpr int kLines = 24;
  for (int i = 0; i < kLines; ++i) __builtin_prefetch(b + i * kWordBytes);
}

// The result of a product from packed operands, by parts.
class TileProduct {
 public:
  TileProduct(Context& context, const qutlass_matmul_problem& problem, const TileFormat& format,
              const TileKernels& kernels, const Activations& a)
      : context_(context),
        problem_(problem),
        format_(format),
        decode_(find_decode(problem, format, kernels, a.packing())),
        decoded_format_(decoded_format(format, a.packing())),
        kernels_(kernels),
        a_(a),
        blocks_(find_blocks(context, problem, a, kernels, decode_ != nullptr)),
        tile_row_bytes_(tile_row_bytes(format, operand_cols(problem.b))),
        factor_(a.unit() * epilogue_factor(problem)),
        bias_buffer_(context.memory, problem.bias.data && problem.bias.dtype != QUTLASS_F32
                                         ? static_cast<size_t>(problem.bias.shape[0]) * sizeof(float)
                                         : 0) {
    if (problem.bias.data) {
      bias_ = load_row(problem.bias, 0, problem.bias.shape[0], bias_buffer_.as<float>());
    }
  }

  const Blocks& blocks() const { return blocks_; }

  // The result of panels [first, last) and of 16 rows of B each from [column, stop).
  void run(int64_t first, int64_t last, int64_t column, int64_t stop) const {
    const int64_t sets = ceil_div(std::min(blocks_.tiles, stop - column), kernels_.tiles);
    // Of a panel with as many tiles as are multiplied at a time; the first panel is the widest.
    const int64_t set_sums =
        int64_t{kernels_.tiles} * a_.panels()[static_cast<size_t>(first)].rows * kTileRows;
    const int64_t doubles = (last - first) * sets * set_sums;
    // One panel's, without asking the pool.
    alignas(64) double few[kMostTiles * kMostRows * kTileRows];
    const bool are_few = doubles <= static_cast<int64_t>(std::size(few));
    const Scratch many(context_.memory, are_few ? 0 : static_cast<size_t>(doubles) * sizeof(double));
    double* const sums = are_few ? few : many.as<double>();
    const Scratch decoded(context_.memory,
                          decode_ ? static_cast<size_t>(sets * kernels_.tiles * decoded_bytes()) : 0);
    for (; column < stop; column += blocks_.tiles) {
      const int64_t tiles = std::min(blocks_.tiles, stop - column);
      std::fill_n(sums, doubles, 0.0);
      for (const Stretch& stretch : a_.stretches()) {
        const uint8_t* b = factors(column) + kFactorBytes + stretch.begin / kTileCols * format_.tile_bytes();
        if (decode_) {
          for (int64_t i = 0; i < tiles; ++i) {
            decode_(format_, b + i * tile_row_bytes_, stretch.cols,
                    decoded.as<uint8_t>() + i * decoded_bytes());
          }
          b = decoded.as<uint8_t>();
        }
        multiply(first, last, stretch, b, tiles, sums, set_sums);
      }
      if (last - first == 1 && column + blocks_.tiles < stop) ask_for(factors(column + blocks_.tiles));
      finish(first, last, column, tiles, sums, set_sums);
    }
  }

 private:
  // Of 16 rows.
  int64_t decoded_bytes() const { return kDecodedCols / kTileCols * decoded_format_.tile_bytes(); }
  // Of 16 rows of B, before their tiles.
  const uint8_t* factors(int64_t column) const {
    return static_cast<const uint8_t*>(problem_.b.quantized.tiles) + column * tile_row_bytes_;
  }

  // Adds the products of panels with tiles of the same columns, from b on.
  void multiply(int64_t first, int64_t last, const Stretch& stretch, const uint8_t* b, int64_t tiles,
                double* sums, int64_t set_sums) const {
    const TileFormat& format = decode_ ? decoded_format_ : format_;
    const int64_t next = decode_ ? decoded_bytes() : tile_row_bytes_;
    for (int64_t p = first; p < last; ++p) {
      const Panel& panel = a_.panels()[static_cast<size_t>(p)];
      const TileMultiply multiply = a_.find_multiply(panel, format);
      const uint8_t* const a = stretch.panel(panel);
      for (int64_t i = 0; i < tiles; i += kernels_.tiles, sums += set_sums) {
        // Beyond the last rows stand these, and their sums are not stored.
        multiply(format, a, b + i * next, i + 1 < tiles ? next : 0, stretch.cols, sums);
      }
    }
  }

  void finish(int64_t first, int64_t last, int64_t column, int64_t tiles, const double* sums,
              int64_t set_sums) const {
    for (int64_t p = first; p < last; ++p) {
      const Panel& panel = a_.panels()[static_cast<size_t>(p)];
      double row_factors[kMostRows];
      for (int m = 0; m < panel.rows; ++m) row_factors[m] = factor_ * a_.factor(panel.row + m);
      for (int64_t i = 0; i < tiles; i += kernels_.tiles, sums += set_sums) {
        for (int64_t t = i; t < std::min(i + kernels_.tiles, tiles); ++t) {
          finish(panel, (column + t) * kTileRows, sums + (t - i) * panel.rows * kTileRows, row_factors,
                 factors(column + t));
        }
      }
    }
  }

  void finish(const Panel& panel, int64_t column, const double* sums, const double* row_factors,
              const uint8_t* factors) const {
    const qutlass_tensor& out = problem_.out;
    const int64_t n = out.shape[1], offset = panel.row * n + column;
    const int count = static_cast<int>(std::min<int64_t>(kTileRows, n - column));
    const auto finish_to = [&](float* target, int64_t stride) {
      kernels_.finish(sums, panel.rows, row_factors, factors, bias_ ? bias_ + column : nullptr, count, target,
                      stride);
    };
    if (out.dtype == QUTLASS_F32) return finish_to(static_cast<float*>(out.data) + offset, n);
    float rounded[kMostRows * kTileRows];
    finish_to(rounded, kTileRows);
    for (int m = 0; m < panel.rows; ++m) store_row(rounded + m * kTileRows, out, offset + m * n, count);
  }

  Context& context_;
  const qutlass_matmul_problem& problem_;
  const TileFormat& format_;
  TileDecode decode_;  // null: codes are decoded wherever they are multiplied
  TileFormat decoded_format_;
  const TileKernels& kernels_;
  const Activations& a_;
  Blocks blocks_;
  int64_t tile_row_bytes_;
  double factor_;
  Scratch bias_buffer_;
  const float* bias_ = nullptr;
};

void multiply(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels,
              const TileFormat& format, const Activations& a) {
  const TileProduct product(context, problem, format, kernels, a);
  const Blocks& blocks = product.blocks();
  const auto panels = static_cast<int64_t>(a.panels().size());
  const int64_t row_blocks = ceil_div(panels, blocks.panels);
  const int64_t column_blocks = ceil_div(operand_rows(problem.b), kTileRows);
  const int64_t rows = std::min<int64_t>(operand_rows(problem.a), blocks.panels * a.widest());
  const int64_t bytes = tile_row_bytes(format, operand_cols(problem.b)) * rows;
  // Several pieces for each thread, since threads may be interrupted.
  const int64_t even = ceil_div(column_blocks, 8 * context.threads.threads());
  const int64_t least = std::clamp<int64_t>(std::max(even, kLeastBytes / bytes), 1, column_blocks);
  const int64_t per_piece = ceil_div(least, blocks.tiles) * blocks.tiles;
  const int64_t pieces = ceil_div(column_blocks, per_piece);
  context.threads.parallel_for(row_blocks * pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / pieces * blocks.panels, column = i % pieces * per_piece;
      product.run(first, std::min(first + blocks.panels, panels), column,
                  std::min(column + per_piece, column_blocks));
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
  if (!problem.a.is_quantized) return;
  const qutlass_format& a = problem.a.quantized.format;
  const bool is_float = a.element == QUTLASS_E2M1 || a.element == QUTLASS_E4M3 || a.element == QUTLASS_E5M2;
  if (!is_float || (a.group_cols != 0 && a.scale_dtype != QUTLASS_F8_E8M0)) {
    fail(QUTLASS_E_UNSUPPORTED,
         "a: expected a dense matrix, mxfp4, mxfp8, or fp8 with a scale for whole rows, this kernel "
         "multiplies values");
  }
}

void require_bf16_tiles(const qutlass_matmul_problem& problem) {
  require_tiles(problem);
  const qutlass_operand& a = problem.a;
  if (!a.is_quantized &&
      (a.dense.dtype != QUTLASS_BF16 || problem.a_rotation.kind != QUTLASS_ROTATION_IDENTITY)) {
    fail(QUTLASS_E_UNSUPPORTED,
         "a: expected bf16 that is not to be rotated, or fp8, this kernel rounds no values");
  }
  if (problem.b.quantized.format.element == QUTLASS_NF4) {
    fail(QUTLASS_E_UNSUPPORTED, "b: expected codes whose values are exact in bf16, those of nf4 are not");
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
  if (b.element == QUTLASS_NF4 || b.element == QUTLASS_E4M3 || b.element == QUTLASS_E5M2) {
    fail(QUTLASS_E_UNSUPPORTED,
         "b: expected integers or e2m1, other values are no small multiples of a unit");
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
  const TileFormat format = tile_format(problem.b.quantized);
  multiply(context, problem, kernels, format, pack(context, problem, format, kernels, Packing::kFloats));
}

void matmul_tiles_bf16(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels) {
  const TileFormat format = tile_format(problem.b.quantized);
  {
    const Activations a = pack(context, problem, format, kernels, Packing::kPairs);
    if (!a.holds_small()) return multiply(context, problem, kernels, format, a);
  }
  matmul_tiles_f32(context, problem, kAvx512TileKernels);
}

void matmul_tiles_int8(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels) {
  const TileFormat format = tile_format(problem.b.quantized);
  const Packing packing = format.scale == TileScale::kNone ? Packing::kIntegers : Packing::kBlocks;
  multiply(context, problem, kernels, format, pack(context, problem, format, kernels, packing));
}

void matmul_tiles_i32(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels) {
  const TileFormat format = tile_format(problem.b.quantized);
  multiply(context, problem, kernels, format, pack(context, problem, format, kernels, Packing::kIntegers));
}

}  // namespace qutlass
