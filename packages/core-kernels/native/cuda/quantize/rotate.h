// Rotations, as steps of other operations.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "cuda/operations.h"

namespace qutlass::cuda {

// What a kernel does about a rotation.
enum class RotateBy {
  kNothing,  // the identity
  kLanes,    // Hadamard up to 256, within a warp
  kBlock,    // larger Hadamard matrices
  // a matrix that fits shared memory and the tiles of a matrix instruction
  kMatrix16,
  kMatrix32,
  kMatrix64,
  kMatrix128,
  kCopy,  // none: a rotated copy is made first
};

// The rows of the matrix, or 0.
constexpr int matrix_size(RotateBy by) {
  switch (by) {
    case RotateBy::kMatrix16: return 16;
    case RotateBy::kMatrix32: return 32;
    case RotateBy::kMatrix64: return 64;
    case RotateBy::kMatrix128: return 128;
    default: return 0;
  }
}

// The largest Hadamard matrix whose rows lie in the registers of a warp, also with eight elements to a lane.
inline constexpr int32_t kLanesSize = 256;

inline RotateBy rotate_by(const qutlass_rotation& rotation) {
  const int32_t size = rotation.size;
  if (rotation.kind == QUTLASS_ROTATION_IDENTITY) return RotateBy::kNothing;
  if (rotation.kind == QUTLASS_ROTATION_HADAMARD)
    return size <= kLanesSize ? RotateBy::kLanes : RotateBy::kBlock;
  for (RotateBy by : {RotateBy::kMatrix16, RotateBy::kMatrix32, RotateBy::kMatrix64, RotateBy::kMatrix128}) {
    if (size == matrix_size(by)) return by;
  }
  return RotateBy::kCopy;
}

// Calls visit(std::integral_constant) for a rotation that does not take a copy.
template <typename Visit>
void with_rotation(const qutlass_rotation& rotation, const Visit& visit) {
  const auto constant = [&]<RotateBy kBy>() { visit(std::integral_constant<RotateBy, kBy>()); };
  switch (rotate_by(rotation)) {
    case RotateBy::kLanes: return constant.template operator()<RotateBy::kLanes>();
    case RotateBy::kBlock: return constant.template operator()<RotateBy::kBlock>();
    case RotateBy::kMatrix16: return constant.template operator()<RotateBy::kMatrix16>();
    case RotateBy::kMatrix32: return constant.template operator()<RotateBy::kMatrix32>();
    case RotateBy::kMatrix64: return constant.template operator()<RotateBy::kMatrix64>();
    case RotateBy::kMatrix128: return constant.template operator()<RotateBy::kMatrix128>();
    default: return constant.template operator()<RotateBy::kNothing>();
  }
}

// The functions below enqueue kernels on a stream that the caller runs on.

// out = x rotated, of the same shape.
void enqueue_rotate(cudaStream_t s, Tensor x, const qutlass_rotation& rotation, Tensor out);

// x = y @ H^T / gain for a rotation by a matrix; *gain, on the device, becomes the mean of diag(H H^T).
void enqueue_unrotate_matrix(cudaStream_t s, Tensor y, const qutlass_rotation& rotation, double* gain,
                             Tensor x);

}  // namespace qutlass::cuda
