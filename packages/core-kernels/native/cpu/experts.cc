// Products of experts: each with its rows of A, by the kernel that a product of its own would get.
#include <algorithm>
#include <cstring>

#include "check.h"
#include "cpu/registry.h"
#include "cpu/tiles/layout.h"
#include "numerics/quantized.h"
#include "reference/matmul.h"
#include "reference/matmul_problem.h"
#include "reference/quantized_a.h"

namespace qutlass {
namespace {

template <typename T>
T* advance(T* data, int64_t bytes) {
  return data ? reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes))
              : nullptr;
}

qutlass_tensor rows_of(const qutlass_tensor& x, int64_t begin, int64_t count) {
  qutlass_tensor rows = x;
  rows.shape[0] = count;
  rows.data = advance(x.data, begin * (element_count(x) / x.shape[0]) * dtype_bytes(x.dtype));
  return rows;
}

// Rows at multiples of this many begin a matrix of their own.
int64_t row_unit(const qutlass_operand& operand) {
  if (!operand.is_quantized) return 1;
  const qutlass_quantized& q = operand.quantized;
  return q.scale_layout == QUTLASS_SCALES_BLOCKED_128X4 ? 128 : std::max(q.format.group_rows, 1);
}

// begin: a multiple of row_unit, and of kTileRows if there are tiles.
qutlass_operand rows_of(const qutlass_operand& operand, int64_t begin, int64_t count) {
  qutlass_operand rows = operand;
  if (!operand.is_quantized) {
    rows.dense = rows_of(operand.dense, begin, count);
    return rows;
  }
  const qutlass_quantized& q = operand.quantized;
  const int64_t groups = scale_cols(q);
  const int64_t before = q.scale_layout == QUTLASS_SCALES_BLOCKED_128X4 ? blocked_bytes(begin, groups)
                         : q.format.group_rows                          ? begin / q.format.group_rows * groups
                                                                        : 0;
  rows.quantized.rows = count;
  rows.quantized.codes = advance(q.codes, begin * q.cols * element_storage_bits(q.format.element) / 8);
  rows.quantized.scales = advance(q.scales, before * dtype_bytes(q.format.scale_dtype));
  rows.quantized.zero_points = advance(q.zero_points, before);
  rows.quantized.clip_mask = nullptr;
  if (q.tiles) {
    rows.quantized.tiles = advance(q.tiles, begin / kTileRows * tile_row_bytes(tile_format(q), q.cols));
  }
  return rows;
}

// A matrix of one row of N values for each expert.
qutlass_tensor vector_of(const qutlass_tensor& x, int64_t row) {
  if (!x.data) return x;
  qutlass_tensor vector = rows_of(x, row, 1);
  vector.rank = 1;
  vector.shape[0] = x.shape[1];
  return vector;
}

class Experts {
 public:
  Experts(Context& context, const qutlass_matmul_problem& problem)
      : context_(context), problem_(problem), columns_(problem.out.shape[1]) {
    if (columns_ % kTileRows != 0) problem_.b.quantized.tiles = nullptr;
    if (row_unit(problem.a) == 1 && columns_ % row_unit(problem.b) == 0) {
      // What kernels take does not depend on the number of rows.
      kernel_ = &first_cpu_kernel(product_of(0, 0, problem.out.shape[0]));
    }
  }

  void run(const qutlass_tensor& offsets) const {
    const auto* const offset = static_cast<const int32_t*>(offsets.data);
    const int64_t experts = offsets.shape[0] - 1, all = problem_.out.shape[0];
    int64_t begin = std::clamp<int64_t>(offset[0], 0, all);
    clear(0, begin);
    for (int64_t expert = 0; expert < experts; ++expert) {
      const int64_t end = std::clamp<int64_t>(offset[expert + 1], begin, all);
      if (end > begin) multiply(expert, begin, end - begin);
      begin = end;
    }
    clear(begin, all);
  }

 private:
  void clear(int64_t begin, int64_t end) const {
    if (begin == end) return;
    const qutlass_tensor rows = rows_of(problem_.out, begin, end - begin);
    std::memset(rows.data, 0, static_cast<size_t>(element_count(rows) * dtype_bytes(rows.dtype)));
  }

  void multiply(int64_t expert, int64_t row, int64_t rows) const {
    if (kernel_) return kernel_->run(context_, product_of(expert, row, rows));
    matmul_reference_of(context_, with_end(expert, row, rows), row, expert * columns_);
  }

  // The product of an expert as one by itself.
  qutlass_matmul_problem product_of(int64_t expert, int64_t row, int64_t rows) const {
    qutlass_matmul_problem product = with_end(expert, row, rows);
    product.a = rows_of(problem_.a, row, rows);
    product.b = rows_of(problem_.b, expert * columns_, columns_);
    return product;
  }

  // The problem with the bias and the result of an expert.
  qutlass_matmul_problem with_end(int64_t expert, int64_t row, int64_t rows) const {
    qutlass_matmul_problem product = problem_;
    product.bias = vector_of(problem_.bias, expert);
    product.out = rows_of(problem_.out, row, rows);
    return product;
  }

  Context& context_;
  qutlass_matmul_problem problem_;
  int64_t columns_;  // of D, which are rows of B for each expert
  // Null if groups go across experts: only the reference, which counts rows from the first of all, multiplies
  // those.
  const Kernel* kernel_ = nullptr;
};

void enqueue(qutlass_stream& stream, const qutlass_matmul_problem& problem, const qutlass_tensor& offsets) {
  if (const Operations* operations = stream.device.operations) {
    return operations->matmul_experts(stream, problem, offsets);
  }
  launch_product(stream, problem, offsets.data, [problem, offsets](Context& context) {
    with_rotated_a(context, problem,
                   [&](const qutlass_matmul_problem& rotated) { Experts(context, rotated).run(offsets); });
  });
}

}  // namespace
}  // namespace qutlass

extern "C" qutlass_status qutlass_matmul_experts(qutlass_stream* stream,
                                                 const qutlass_matmul_problem* problem,
                                                 const qutlass_tensor* offsets) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_experts_problem(problem, offsets);
    if (!problem->quantizes_a) return enqueue(*stream, *problem, *offsets);
    const QuantizedA quantized(*stream, *problem);
    enqueue(*stream, quantized.in(*problem), *offsets);
  });
}
