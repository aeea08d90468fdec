// A as the kernels of this folder read it: rows of bf16 at multiples of 16 bytes.
#pragma once

#include "cuda_stream.h"
#include "qutlass.h"
#include "scratch.h"

namespace qutlass::cuda {

// Whether sums of a row have a factor besides.
bool has_row_factors(const qutlass_matmul_problem& problem);

// Whether an A that is to be quantized is by the launch that makes its rows.
bool bf16_rows_quantize(const qutlass_matmul_problem& problem);

// The rows of a problem's A: for each of them one or two of bf16 that have it as their sum. In the memory of
// A if they can be, else what makes them is enqueued: one launch, and one more for a rotation.
class Bf16Rows {
 public:
  Bf16Rows(CudaStream& stream, const qutlass_matmul_problem& problem);

  // Whether another problem has the same A.
  bool are_of(const qutlass_matmul_problem& problem) const;

  // [rows * parts, cols]; the parts of a row follow each other, and columns beyond those of A are zeros.
  const void* data() const { return data_; }
  int rows() const { return rows_; }
  int parts() const { return parts_; }
  int cols() const { return cols_; }
  // On the device, or null: what all sums are divided by, and what those of each row are multiplied by.
  const float* global_scale() const { return global_scale_; }
  const float* row_factors() const { return row_factors_; }

 private:
  const qutlass_matmul_problem problem_;
  const int rows_, parts_, cols_;
  const bool direct_;
  const DeviceScratch rotated_, made_;
  const void* data_;
  const float *global_scale_, *row_factors_;
};

}  // namespace qutlass::cuda
