// Rotations, as steps of other operations.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/operations.h"

namespace qutlass::cuda {

// What a kernel does about a rotation.
enum class RotateBy {
  kNothing,  // the identity
  kLanes,    // Hadamard up to 256, within a warp
  kBlock,    // larger Hadamard matrices
  kMatrix,   // a matrix that fits shared memory and the tiles of a matrix instruction
  kCopy,     // none: a rotated copy is made first
};

// The largest Hadamard matrix whose rows lie in the registers of a warp, eight elements to a lane.
inline constexpr int32_t kLanesSize = 256;

inline RotateBy rotate_by(const qutlass_rotation& rotation) {
  const int32_t size = rotation.size;
  switch (rotation.kind) {
    case QUTLASS_ROTATION_IDENTITY: return RotateBy::kNothing;
    case QUTLASS_ROTATION_HADAMARD: return size <= kLanesSize ? RotateBy::kLanes : RotateBy::kBlock;
    default:
      return size == 16 || size == 32 || size == 64 || size == 128 ? RotateBy::kMatrix : RotateBy::kCopy;
  }
}

// The functions below enqueue kernels on a stream that the caller runs on.

// out = x rotated, of the same shape.
void enqueue_rotate(cudaStream_t s, Tensor x, const qutlass_rotation& rotation, Tensor out);

// x = y @ H^T / gain for a rotation by a matrix; *gain, on the device, becomes the mean of diag(H H^T).
void enqueue_unrotate_matrix(cudaStream_t s, Tensor y, const qutlass_rotation& rotation, double* gain,
                             Tensor x);

}  // namespace qutlass::cuda
