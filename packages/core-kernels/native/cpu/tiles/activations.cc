#include "cpu/tiles/activations.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cpu/vectorized.h"
#include "numerics/quantized.h"
#include "reference/dense_rows.h"
#include "reference/matmul_problem.h"

namespace qutlass {
namespace {

// Panels of the widest kind, then of 8, 4, 2 and 1 rows.
std::vector<Panel> split_rows(int64_t rows, int widest) {
  std::vector<Panel> panels;
  int width = widest;
  for (int64_t row = 0; row < rows; row += width) {
    while (width > rows - row) width = width > 8 ? 8 : width > 4 ? 4 : width / 2;
    panels.push_back({row, width});
  }
  return panels;
}

// Codes of e2m1 are multiplied as integers, twice their values.
constexpr double code_unit(int32_t element) { return element == QUTLASS_E2M1 ? 0.5 : 1.0; }

// The integers of the two codes of every byte, the first one in the low bits.
using PairTable = std::array<uint16_t, 256>;
constexpr PairTable pair_table(int32_t element) {
  PairTable table{};
  const auto integer = [element](uint32_t code) {
    const auto value = static_cast<int32_t>(decode_element(element, static_cast<uint8_t>(code)) /
                                            static_cast<float>(code_unit(element)));
    return static_cast<uint32_t>(value) & 0xFFu;
  };
  for (uint32_t byte = 0; byte < 256; ++byte) {
    table[byte] = static_cast<uint16_t>(integer(byte & 15) | integer(byte >> 4) << 8);
  }
  return table;
}
constexpr PairTable kE2M1Pairs = pair_table(QUTLASS_E2M1), kInt4Pairs = pair_table(QUTLASS_INT4);

int64_t find_block(const qutlass_operand& a, const TileFormat& format, Packing packing) {
  switch (packing) {
    case Packing::kFloats:
    case Packing::kPairs: return format.group;
    // Fewer than 32 dense values are not worth a scale.
    case Packing::kBlocks: return a.is_quantized ? format.group : std::max(format.group, 32);
    default: {
      const int64_t padded = ceil_div(operand_cols(a), kTileCols) * kTileCols;
      return format.scale == TileScale::kNone ? std::min<int64_t>(padded, kIntegerCols) : format.group;
    }
  }
}

int64_t bytes_of_block(Packing packing, int64_t block, int64_t corrected) {
  if (packing == Packing::kFloats) return block * 4;
  if (packing == Packing::kPairs) return block * 2;
  return block + 4 * (block / corrected) + (packing == Packing::kBlocks ? 4 : 0);
}

// Values of all rows of a panel are packed so many columns at a time, which stay in the first-level cache.
constexpr int64_t kPackedCols = 512;

// Whether the scale of a row is left out when its values are packed.
bool has_row_scales(const qutlass_operand& a) { return a.is_quantized && a.quantized.format.group_cols == 0; }

bool packs_values(Packing packing) { return packing == Packing::kFloats || packing == Packing::kPairs; }

// Whether there is a value but zero that is too small for pairs.
bool has_small(const float* x, int64_t count) {
  constexpr auto kLeast = std::bit_cast<uint32_t>(kLeastOfPairs);
  bool small = false;
  vectorized([=, &small] {
    uint32_t any = 0;
    for (int64_t i = 0; i < count; ++i) {
      any |= (std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFu) - 1 < kLeast - 1 ? 1u : 0u;
    }
    small = any != 0;
  });
  return small;
}

}  // namespace

// Of one thread.
struct Activations::Buffers {
  Scratch row;    // float32, or a part of it
  Scratch codes;  // of a block

  Buffers(MemoryPool& memory, const Activations& a)
      : row(memory, packs_values(a.packing_) ? kPackedCols * sizeof(float)
                    : a.a_.is_quantized      ? 0
                                             : static_cast<size_t>(a.cols_) * sizeof(float)),
        codes(memory, packs_values(a.packing_) ? 0 : static_cast<size_t>(a.block_)) {}
};

Activations::Activations(Context& context, const qutlass_operand& a, const TileFormat& format,
                         const TileKernels& kernels, Packing packing, int64_t stretch)
    : a_(a),
      format_(format),
      kernels_(kernels),
      packing_(packing),
      cols_(operand_cols(a)),
      block_(find_block(a, format, packing)),
      corrected_(packing == Packing::kIntegers ? block_ : format.group),
      block_bytes_(bytes_of_block(packing, block_, corrected_)),
      stretch_(std::min(stretch, padded_cols())),
      widest_(kernels.rows(format, packing)),
      panels_(split_rows(operand_rows(a), widest_)),
      row_scales_(packing == Packing::kIntegers || has_row_scales(a) ? static_cast<size_t>(operand_rows(a))
                                                                     : 0),
      packed_(context.memory, static_cast<size_t>(operand_rows(a) * row_bytes())) {
  for (int64_t begin = 0; begin < padded_cols(); begin += stretch_) {
    const int64_t cols = std::min(stretch_, cols_ - begin),
                  padded = std::min(stretch_, padded_cols() - begin);
    stretches_.push_back(
        {begin, cols, packed_bytes(padded), packed_.as<uint8_t>() + operand_rows(a) * packed_bytes(begin)});
  }
  const auto count = static_cast<int64_t>(panels_.size());
  context.threads.parallel_for(count, rows_per_piece(widest_ * cols_), [&](int64_t begin, int64_t end) {
    const Buffers buffers(context.memory, *this);
    for (int64_t i = begin; i < end; ++i) {
      const Panel& panel = panels_[static_cast<size_t>(i)];
      if (packs_values(packing)) {
        pack_values(panel, buffers);
      } else {
        pack_codes(panel, buffers);
      }
    }
  });
}

double Activations::unit() const {
  if (packs_values(packing_)) return 1;
  return multiplied_unit(format_) * (a_.is_quantized ? code_unit(a_.quantized.format.element) : 1);
}

// Where words of 32 bits of the rows of a panel lie: runs of a power of two of one row, then of the next one.
struct Activations::WordOrder {
  int64_t rows, run;
  int shift;

  int64_t offset(int64_t word, int64_t row) const {
    return 4 * ((((word >> shift) * rows + row) << shift) + (word & (run - 1)));
  }
};

Activations::WordOrder Activations::word_order(int rows) const {
  const int64_t columns = std::min<int64_t>(packs_values(packing_) ? block_ : corrected_, kTileCols);
  const int64_t run = rows != kernels_.matrix_rows ? 1 : columns / (packing_ == Packing::kPairs ? 2 : 4);
  return {rows, run, std::countr_zero(static_cast<uint64_t>(run))};
}

uint8_t* Activations::block(const Panel& panel, int64_t column) const {
  const Stretch& stretch = stretches_[static_cast<size_t>(column / stretch_)];
  return stretch.panel(panel) + panel.rows * packed_bytes(column - stretch.begin);
}

void Activations::pack_values(const Panel& panel, const Buffers& buffers) {
  const int rows = panel.rows, columns = 32 / format_.bits();
  const WordOrder words = word_order(rows);
  const auto& order = kPairOrder[columns == 8];
  for (int64_t begin = 0; begin < cols_; begin += kPackedCols) {
    const int64_t count = std::min(kPackedCols, cols_ - begin);
    const int64_t padded = ceil_div(count, block_) * block_;
    uint8_t* const out = block(panel, begin);
    for (int m = 0; m < rows; ++m) {
      const float* x = load_values(panel.row + m, begin, count, padded, buffers.row.as<float>());
      if (packing_ == Packing::kFloats) {
        for (int64_t i = 0; i < padded; ++i) std::memcpy(out + 4 * (i * rows + m), x + i, 4);
        continue;
      }
      if (has_small(x, count)) holds_small_ = true;
      int64_t word = 0;
      for (int64_t k = 0; k < padded; k += columns) {
        for (int i = 0; i < columns; i += 2) {
          const uint32_t first = std::bit_cast<uint32_t>(x[k + order[i]]) >> 16;
          const uint32_t pair = first | (std::bit_cast<uint32_t>(x[k + order[i + 1]]) & 0xFFFF0000u);
          std::memcpy(out + words.offset(word++, m), &pair, sizeof pair);
        }
      }
    }
  }
}

const float* Activations::load_values(int64_t row, int64_t begin, int64_t count, int64_t padded,
                                      float* buffer) {
  if (!a_.is_quantized) {
    const float* x = load_row(a_.dense, row * cols_ + begin, count, buffer);
    if (x != buffer && padded == count) return x;
    if (x != buffer) std::memcpy(buffer, x, static_cast<size_t>(count) * sizeof(float));
  } else {
    const qutlass_quantized& q = a_.quantized;
    const int bits = element_storage_bits(q.format.element);
    const auto& table = decode_table(q.format.element);
    const bool has_groups = q.format.group_cols != 0;
    if (!has_groups) row_scales_[static_cast<size_t>(row)] = static_cast<double>(load_scale_of(row, 0));
    for (int64_t i = 0; i < count;) {
      const float scale = has_groups ? load_scale_of(row, begin + i) : 1.0f;
      const int64_t group = (begin + i) / group_cols(q);
      const int64_t end = std::min((group + 1) * group_cols(q) - begin, count);
      for (; i < end; ++i) buffer[i] = table[load_code(q.codes, bits, row * cols_ + begin + i)] * scale;
    }
  }
  std::fill(buffer + count, buffer + padded, 0.0f);
  return buffer;
}

void Activations::pack_codes(const Panel& panel, const Buffers& buffers) {
  const int rows = panel.rows;
  const int64_t corrections = block_ / corrected_;
  const WordOrder order = word_order(rows);
  auto* const codes = buffers.codes.as<int8_t>();
  for (int m = 0; m < rows; ++m) {
    const int64_t row = panel.row + m;
    const float* x =
        a_.is_quantized ? nullptr : load_row(a_.dense, row * cols_, cols_, buffers.row.as<float>());
    float scale = 1;
    if (packing_ == Packing::kIntegers) {
      scale = x ? kernels_.int8_scale(x, cols_) : load_scale_of(row, 0);
      row_scales_[static_cast<size_t>(row)] = static_cast<double>(scale);
    }
    uint8_t* out = block(panel, 0);
    for (int64_t begin = 0; begin < cols_; begin += block_) {
      const int64_t count = std::min(block_, cols_ - begin);
      if (packing_ == Packing::kBlocks) {
        scale = x ? kernels_.int8_scale(x + begin, count) : load_scale_of(row, begin);
        std::memcpy(out + 4 * m, &scale, sizeof scale);
        out += 4 * rows;
      }
      if (x) {
        kernels_.round(x + begin, count, scale, codes);
      } else {
        load_codes(row, begin, count, codes);
      }
      std::memset(codes + count, 0, static_cast<size_t>(block_ - count));
      int32_t sums[kTileCols / 16];
      kernels_.correct(codes, block_, corrected_, multiplied_excess(format_), sums);
      for (int64_t i = 0; i < corrections; ++i, out += 4 * rows) std::memcpy(out + 4 * m, sums + i, 4);
      if (rows == 1) std::memcpy(out, codes, static_cast<size_t>(block_));
      for (int64_t i = 0; rows > 1 && i < block_ / 4; ++i) {
        std::memcpy(out + order.offset(i, m), codes + 4 * i, 4);
      }
      out += rows * block_;
    }
  }
}

void Activations::load_codes(int64_t row, int64_t begin, int64_t count, int8_t* out) const {
  const qutlass_quantized& q = a_.quantized;
  const auto* codes = static_cast<const uint8_t*>(q.codes);
  const int64_t first = row * cols_ + begin;
  if (q.format.element == QUTLASS_INT8) {
    std::memcpy(out, codes + first, static_cast<size_t>(count));
    return;
  }
  const PairTable& pairs = q.format.element == QUTLASS_E2M1 ? kE2M1Pairs : kInt4Pairs;
  for (int64_t i = 0; i < count; i += 2) std::memcpy(out + i, &pairs[codes[(first + i) / 2]], 2);
}

float Activations::load_scale_of(int64_t row, int64_t column) const {
  const qutlass_quantized& q = a_.quantized;
  return load_scale(q, scale_offset(q, row / group_rows(q), column / group_cols(q)));
}

}  // namespace qutlass
