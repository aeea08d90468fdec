#include "gemm_f32.h"

#include <algorithm>

#include "blocked_gemm.h"
#include "numerics/quantized.h"
#include "operand_reader.h"
#include "reference/matmul_problem.h"

namespace qutlass {
namespace {

// Up to this M, dot products of rows cost less than packing B.
constexpr int64_t kMaxDotRows = 8;

class GemmF32 {
 public:
  GemmF32(const Primitives& primitives, const qutlass_matmul_problem& problem)
      : primitives_(primitives),
        a_(primitives, problem.a),
        b_(primitives, problem.b),
        k_(operand_cols(problem.a)) {}

  int64_t blocks() const { return ceil_div(k_, kBlockF32); }
  int64_t panel_bytes(int64_t block, int width) const {
    return (end(block) - begin(block)) * width * static_cast<int64_t>(sizeof(float));
  }
  void pack_a(int64_t block, int64_t row, void* panel) const { pack<kPanelA>(a_, block, row, panel); }
  void pack_b(int64_t block, int64_t row, void* panel) const { pack<kPanelB>(b_, block, row, panel); }
  void multiply(int64_t block, const void* a, const void* b, double* c) const {
    primitives_.multiply_f32(end(block) - begin(block), static_cast<const float*>(a),
                             static_cast<const float*>(b), c);
  }

 private:
  int64_t begin(int64_t block) const { return block * kBlockF32; }
  int64_t end(int64_t block) const { return std::min(begin(block) + kBlockF32, k_); }

  template <int kWidth>
  void pack(const OperandReader& operand, int64_t block, int64_t row, void* panel) const {
    static constexpr float kZeros[kBlockF32] = {};
    float buffer[kWidth][kBlockF32];
    const void* rows[kWidth];
    for (int i = 0; i < kWidth; ++i) {
      rows[i] =
          row + i < operand.rows() ? operand.values(row + i, begin(block), end(block), buffer[i]) : kZeros;
      operand.prefetch(row + i, end(block), end(block) + kBlockF32);
    }
    primitives_.interleave(rows, kWidth, end(block) - begin(block), panel);
  }

  const Primitives& primitives_;
  OperandReader a_;
  OperandReader b_;
  int64_t k_;
};

// M of a few rows: every row of B is decoded piece by piece, and each piece multiplied with all rows of A
// while it is in the first-level cache.
void matmul_rows(Context& context, const qutlass_matmul_problem& problem, const Primitives& primitives) {
  const int64_t m = operand_rows(problem.a), n = operand_rows(problem.b), k = operand_cols(problem.a);
  const OperandReader a_reader(primitives, problem.a), b_reader(primitives, problem.b);
  const Epilogue epilogue(problem);

  const bool in_place = !problem.a.is_quantized && problem.a.dense.dtype == QUTLASS_F32;
  const Scratch decoded(context.memory, in_place ? 0 : static_cast<size_t>(m * k) * sizeof(float));
  const float* a = in_place ? static_cast<const float*>(problem.a.dense.data) : decoded.as<float>();
  // A piece of the m rows of A stays in half of a first-level cache.
  const int64_t piece = std::min<int64_t>(OperandReader::kMaxCount, 4096 / m / 128 * 128);
  for (int64_t row = 0; row < m && !in_place; ++row) {
    for (int64_t begin = 0; begin < k; begin += OperandReader::kMaxCount) {
      a_reader.values(row, begin, std::min(begin + OperandReader::kMaxCount, k),
                      decoded.as<float>() + row * k + begin);
    }
  }

  constexpr int64_t kMaxColumns = Epilogue::kMaxCount;
  const int64_t columns = std::clamp<int64_t>(32768 / k, 1, kMaxColumns);
  context.threads.parallel_for(n, columns, [&](int64_t first, int64_t last) {
    alignas(64) float buffer[OperandReader::kMaxCount];
    double sums[kMaxDotRows][kMaxColumns] = {};
    for (int64_t col = first; col < last; ++col) {
      for (int64_t begin = 0; begin < k; begin += piece) {
        const int64_t end = std::min(begin + piece, k);
        const float* b = b_reader.values(col, begin, end, buffer);
        primitives.dot_f32(m, a + begin, k, b, end - begin, &sums[0][col - first], kMaxColumns);
      }
    }
    for (int64_t row = 0; row < m; ++row) epilogue.store(row, first, sums[row], last - first);
  });
}

}  // namespace

void matmul_f32(Context& context, const qutlass_matmul_problem& problem, const Primitives& primitives) {
  const int64_t m = operand_rows(problem.a), n = operand_rows(problem.b);
  if (m <= kMaxDotRows) {
    matmul_rows(context, problem, primitives);
    return;
  }
  const Epilogue epilogue(problem);
  const GemmF32 gemm(primitives, problem);
  BlockedGemm(context, gemm, m, n, epilogue).run();
}

}  // namespace qutlass
