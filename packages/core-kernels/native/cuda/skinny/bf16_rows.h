// A as the kernels of this folder read it: rows of bf16 at multiples of 16 bytes.
#pragma once

#include <optional>

#include "cuda/skinny/row_source.cuh"
#include "cuda_stream.h"
#include "qutlass.h"
#include "scratch.h"

namespace qutlass::cuda {

// Whether sums of a row have a factor besides.
bool has_row_factors(const qutlass_matmul_problem& problem);

// Whether an A that is to be quantized is by what makes its rows.
bool quantizes_on_the_way(const qutlass_matmul_problem& problem);

// Whether the rows of problems are the same.
bool have_same_a(const qutlass_matmul_problem& one, const qutlass_matmul_problem& other);

// A as what makes rows takes it; it is rotated on the way, or not any more.
RowSource row_source(const qutlass_matmul_problem& problem);

// Whether every block of a product can make the rows, so many for one of A, or int8 codes (MakeRowsOfBlock).
bool blocks_make(const RowSource& source, int parts, bool codes);

// The rows of a problem's A: for each of them one or two of bf16 that have it as their sum. They are in the
// memory of A if they can be. Few of up to block_bytes are made by each block of the product. Else what makes
// them is enqueued, and before that a rotation by a matrix or a large one.
class Bf16Rows {
 public:
  Bf16Rows(CudaStream& stream, const qutlass_matmul_problem& problem, size_t block_bytes);

  // [rows * parts, cols]; the parts of a row follow each other, and columns beyond those of A are zeros. Null
  // where blocks make them.
  const void* data() const { return data_; }
  const RowSource& source() const { return source_; }
  int rows() const { return rows_; }
  int parts() const { return parts_; }
  int cols() const { return cols_; }
  // On the device, or null: what all sums are divided by, and what those of each row are multiplied by.
  const float* global_scale() const { return global_scale_; }
  const float* row_factors() const { return row_factors_; }

 private:
  const int rows_, parts_, cols_;
  const DeviceScratch rotated_;
  std::optional<DeviceScratch> made_;
  RowSource source_{};
  const void* data_ = nullptr;
  const float *global_scale_, *row_factors_ = nullptr;
};

}  // namespace qutlass::cuda
