#include "gemm_i32.h"

#include <algorithm>
#include <numeric>

#include "blocked_gemm.h"
#include "numerics/quantized.h"
#include "operand_reader.h"
#include "reference/matmul_problem.h"

namespace qutlass {
namespace {

// Up to this M, dot products of rows cost less than packing B.
constexpr int64_t kMaxDotRows = 4;
// Pairs of elements in a block; an odd last element, which only a group of the whole row can have, is padded.
constexpr int64_t kBlockPairs = kBlockI32 / 2;

// K in segments that lie in one group of A and one of B, and blocks of whole segments. Groups are 32, 64, 128
// or the whole row, so all segments but the last are equal, and the last one is shorter only in a group of
// the whole row.
class Segments {
 public:
  explicit Segments(int64_t k, int64_t a_group, int64_t b_group)
      : k_(k), length_(std::min<int64_t>(std::gcd(a_group, b_group), kBlockI32)) {}

  int64_t length() const { return length_; }
  int64_t blocks() const { return ceil_div(k_, block_length()); }
  int64_t begin(int64_t block) const { return block * block_length(); }
  int64_t end(int64_t block) const { return std::min(begin(block) + block_length(), k_); }
  int64_t count(int64_t block) const { return ceil_div(end(block) - begin(block), length_); }
  int64_t pairs(int64_t block) const { return ceil_div(end(block) - begin(block), 2); }
  // Pairs of each segment of the block but the last, and of the last one.
  int64_t segment_pairs() const { return ceil_div(length_, 2); }
  int64_t last_pairs(int64_t block) const { return pairs(block) - (count(block) - 1) * segment_pairs(); }

 private:
  int64_t block_length() const { return kBlockI32 / length_ * length_; }

  int64_t k_;
  int64_t length_;
};

// The scale of every segment of a block of one row, `stride` apart.
void segment_scales(const OperandReader& operand, const Segments& segments, int64_t block, int64_t row,
                    double* out, int64_t stride) {
  float scales[kBlockI32];
  const int64_t group = operand.group(), first = segments.begin(block) / group;
  operand.scales(row, first, ceil_div(segments.end(block), group), scales);
  int64_t g = 0, at = segments.begin(block), next = (first + 1) * group;
  for (int64_t s = 0; s < segments.count(block); ++s, at += segments.length()) {
    if (at == next) ++g, next += group;
    out[s * stride] = static_cast<double>(scales[g]);
  }
}

// A block of one row as pairs of int16.
void block_integers(const OperandReader& operand, const Segments& segments, int64_t block, int64_t row,
                    int16_t* out) {
  const int64_t begin = segments.begin(block), end = segments.end(block);
  operand.integers(row, begin, end, out);
  if ((end - begin) % 2 != 0) out[end - begin] = 0;
}

// A packed panel: the scales [segment][row] as doubles, then the pairs [pair][row].
class GemmI32 {
 public:
  GemmI32(const Primitives& primitives, const qutlass_matmul_problem& problem)
      : primitives_(primitives),
        a_(primitives, problem.a),
        b_(primitives, problem.b),
        segments_(operand_cols(problem.a), a_.group(), b_.group()) {}

  int64_t blocks() const { return segments_.blocks(); }
  int64_t panel_bytes(int64_t block, int width) const {
    return width *
           (segments_.count(block) * static_cast<int64_t>(sizeof(double)) + segments_.pairs(block) * 4);
  }
  void pack_a(int64_t block, int64_t row, void* panel) const { pack<kPanelA>(a_, block, row, panel); }
  void pack_b(int64_t block, int64_t row, void* panel) const { pack<kPanelB>(b_, block, row, panel); }
  void multiply(int64_t block, const void* a, const void* b, double* c) const {
    const int64_t count = segments_.count(block);
    const auto *a_scales = static_cast<const double*>(a), *b_scales = static_cast<const double*>(b);
    primitives_.multiply_i32(count, segments_.segment_pairs(), segments_.last_pairs(block),
                             reinterpret_cast<const int16_t*>(a_scales + count * kPanelA), a_scales,
                             reinterpret_cast<const int16_t*>(b_scales + count * kPanelB), b_scales, c);
  }

 private:
  template <int kWidth>
  void pack(const OperandReader& operand, int64_t block, int64_t row, void* panel) const {
    static constexpr int16_t kZeros[kBlockI32] = {};
    int16_t buffer[kWidth][kBlockI32];
    const void* rows[kWidth];
    const int64_t count = segments_.count(block);
    auto* scales = static_cast<double*>(panel);
    for (int i = 0; i < kWidth; ++i) {
      rows[i] = kZeros;
      if (row + i < operand.rows()) {
        segment_scales(operand, segments_, block, row + i, scales + i, kWidth);
        block_integers(operand, segments_, block, row + i, buffer[i]);
        operand.prefetch(row + i, segments_.end(block), segments_.end(block) + kBlockI32);
        rows[i] = buffer[i];
      } else {
        for (int64_t s = 0; s < count; ++s) scales[s * kWidth + i] = 0;
      }
    }
    primitives_.interleave(rows, kWidth, segments_.pairs(block), scales + count * kWidth);
  }

  const Primitives& primitives_;
  OperandReader a_;
  OperandReader b_;
  Segments segments_;
};

// M of a few rows: A is decoded once, rows of B block by block.
void matmul_rows(Context& context, const qutlass_matmul_problem& problem, const Primitives& primitives) {
  const int64_t m = operand_rows(problem.a), n = operand_rows(problem.b);
  const OperandReader a(primitives, problem.a), b(primitives, problem.b);
  const Segments segments(operand_cols(problem.a), a.group(), b.group());
  const Epilogue epilogue(problem);

  const int64_t blocks = segments.blocks();
  const int64_t per_block = segments.count(0);
  const Scratch integers(context.memory, static_cast<size_t>(m * blocks * kBlockPairs) * 2 * sizeof(int16_t));
  const Scratch scales(context.memory, static_cast<size_t>(m * blocks * per_block) * sizeof(double));
  const auto a_integers = [&](int64_t row, int64_t block) {
    return integers.as<int16_t>() + (row * blocks + block) * kBlockPairs * 2;
  };
  const auto a_scales = [&](int64_t row, int64_t block) {
    return scales.as<double>() + (row * blocks + block) * per_block;
  };
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      block_integers(a, segments, block, row, a_integers(row, block));
      segment_scales(a, segments, block, row, a_scales(row, block), 1);
    }
  }

  constexpr int64_t kMaxColumns = Epilogue::kMaxCount;
  const int64_t columns = std::clamp<int64_t>(32768 / operand_cols(problem.a), 1, kMaxColumns);
  context.threads.parallel_for(n, columns, [&](int64_t first, int64_t last) {
    alignas(64) int16_t b_integers[kBlockI32];
    double b_scales[kBlockI32];
    double sums[kMaxDotRows][kMaxColumns] = {};
    for (int64_t col = first; col < last; ++col) {
      for (int64_t block = 0; block < blocks; ++block) {
        block_integers(b, segments, block, col, b_integers);
        segment_scales(b, segments, block, col, b_scales, 1);
        for (int64_t row = 0; row < m; ++row) {
          sums[row][col - first] +=
              primitives.dot_i32(segments.count(block), segments.segment_pairs(), segments.last_pairs(block),
                                 a_integers(row, block), a_scales(row, block), b_integers, b_scales);
        }
      }
    }
    for (int64_t row = 0; row < m; ++row) epilogue.store(row, first, sums[row], last - first);
  });
}

}  // namespace

void matmul_i32(Context& context, const qutlass_matmul_problem& problem, const Primitives& primitives) {
  const int64_t m = operand_rows(problem.a), n = operand_rows(problem.b);
  if (m <= kMaxDotRows) {
    matmul_rows(context, problem, primitives);
    return;
  }
  const Epilogue epilogue(problem);
  const GemmI32 gemm(primitives, problem);
  BlockedGemm(context, gemm, m, n, epilogue).run();
}

}  // namespace qutlass
