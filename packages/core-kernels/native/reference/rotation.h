// Rotations of the last dimension before quantization: y = reshape(x, [-1, R]) @ H, and back.
#pragma once

#include <cstdint>

#include "dense_rows.h"
#include "memory.h"
#include "qutlass.h"

namespace qutlass {

// Throws unless the rotation (NULL is the identity) can be applied to rows of k elements. Its data are not
// read.
void require_rotation(const char* name, const qutlass_rotation* rotation, int64_t k);

// A copy to keep for later; the identity for NULL.
inline qutlass_rotation copy_rotation(const qutlass_rotation* rotation) {
  return rotation ? *rotation : qutlass_rotation{QUTLASS_ROTATION_IDENTITY, 1, nullptr};
}

// y = x @ H over k elements in float32, x rounded to bfloat16 first. The identity copies and does not round.
// x and y must not overlap.
void rotate_row(const qutlass_rotation& rotation, const float* x, float* y, int64_t k);

// The mean of diag(H H^T): 1 for the identity, 1 up to the rounding of the entries for a Hadamard matrix.
double rotation_gain(const qutlass_rotation& rotation);

// x = y @ H^T / gain over k elements, in double. y and x must not overlap.
void unrotate_row(const qutlass_rotation& rotation, double gain, const double* y, double* x, int64_t k);

// Reads the rows of a dense matrix, or of a tensor [.., K] seen as one, as rotated float32.
class RotatedRows {
 public:
  RotatedRows(MemoryPool& memory, const qutlass_tensor& x, const qutlass_rotation& rotation);
  // Valid until the next call.
  const float* operator[](int64_t row) const;

 private:
  const qutlass_tensor& x_;
  const qutlass_rotation& rotation_;
  int64_t cols_;
  Scratch decoded_;
  Scratch rotated_;
};

}  // namespace qutlass
