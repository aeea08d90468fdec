// What a quantizer reads: a dense matrix and a rotation that kernels apply while they load it. Where they
// cannot, a rotated copy in float32 and the identity.
#pragma once

#include <cuda_runtime.h>

#include "check.h"
#include "cuda/operations.h"
#include "cuda/quantize/rotate.h"
#include "scratch.h"

namespace qutlass::cuda {

class Source {
 public:
  // within_squares: elements are loaded in squares of 128 x 128.
  Source(Stream stream, Tensor x, const qutlass_rotation& rotation, bool within_squares)
      : x_(x),
        rotation_(rotation),
        copied_(takes_copy(rotation, within_squares)),
        memory_(stream.device, copied_ ? static_cast<size_t>(element_count(x)) * sizeof(float) : 0) {}

  // To be operands of CudaStream::run, besides x and the rotation.
  const void* memory() const { return memory_.as<void>(); }
  void enqueue(cudaStream_t s) const {
    if (copied_) enqueue_rotate(s, x_, rotation_, matrix());
  }

  qutlass_tensor matrix() const {
    qutlass_tensor matrix = x_;
    if (copied_) {
      matrix.data = memory_.as<void>();
      matrix.dtype = QUTLASS_F32;
    }
    return matrix;
  }
  qutlass_rotation rotation() const {
    return copied_ ? qutlass_rotation{QUTLASS_ROTATION_IDENTITY, 1, nullptr} : rotation_;
  }

 private:
  static bool takes_copy(const qutlass_rotation& rotation, bool within_squares) {
    const RotateBy by = rotate_by(rotation);
    // A rotation beyond 128 crosses squares.
    return by == RotateBy::kCopy || (within_squares && by != RotateBy::kNothing && rotation.size > 128);
  }

  Tensor x_;
  const qutlass_rotation& rotation_;
  bool copied_;
  DeviceScratch memory_;
};

}  // namespace qutlass::cuda
