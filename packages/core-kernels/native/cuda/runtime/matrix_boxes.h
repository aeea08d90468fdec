// Matrices from which kernels copy boxes to shared memory (atoms/box_copy.cuh).
#pragma once

#include <cuda.h>

#include <cstdint>

namespace qutlass::cuda {

struct MatrixBoxes {
  CUtensorMap map;  // for the unit that copies, where the GPU has one
  const uint8_t* data;
  int64_t row_bytes;
  int rows, box_rows;
};

// How rows of a box lie in shared memory: one after the other, or, being 128 bytes, with their 16-byte parts
// at their number exclusive-or the number of the row, modulo 8.
enum class BoxLayout { kPlain, kSwizzled };

// data: at a multiple of 16 bytes; row_bytes, box_bytes: multiples of 16, of a box at most 1024. Columns and
// rows of boxes that the matrix does not have are zeros. mapped: whether the kernel is made for the unit
// (kernel_limits.h).
MatrixBoxes matrix_boxes(const void* data, int rows, int64_t row_bytes, int box_rows, int box_bytes,
                         BoxLayout layout, bool mapped);

}  // namespace qutlass::cuda
