// Rows of dense tensors as float32: decoded once on the way in, rounded once on the way out, so that the
// loops between run over contiguous floats.
#pragma once

#include <algorithm>
#include <cstdint>

#include "qutlass.h"

namespace qutlass {

// Elements [offset, offset + count) of a tensor in F32, BF16 or F16. Those of an F32 tensor are returned in
// place; others are decoded into `buffer` (count floats).
const float* load_row(const qutlass_tensor& tensor, int64_t offset, int64_t count, float* buffer);

// Rounds `values` to nearest even into elements [offset, offset + count) of a tensor in F32, BF16 or F16.
void store_row(const float* values, const qutlass_tensor& tensor, int64_t offset, int64_t count);

// A piece of this many elements takes longer than handing it to another thread.
constexpr int64_t kElementsPerPiece = 16384;

// The grain of a parallel_for over rows (or columns) of `elements` each; one piece, and so serial, when all
// is small.
inline int64_t rows_per_piece(int64_t elements) { return std::max<int64_t>(1, kElementsPerPiece / elements); }

}  // namespace qutlass
