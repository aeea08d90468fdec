// Quantization of what an operation makes: whether a kernel can make it while it reads, and the way around.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "check.h"
#include "cuda/model/dense.cuh"
#include "cuda/operations.h"
#include "cuda/quantize/rotate.h"
#include "cuda/quantize/span.cuh"
#include "scratch.h"

namespace qutlass::cuda {

// Of these operands, rows of `width` elements. What depends on the operation comes on top.
inline bool is_made_while_read(std::initializer_list<qutlass_tensor> operands, int64_t width,
                               const qutlass_rotation& rotation, const qutlass_quantized& out) {
  const RotateBy by = rotate_by(rotation);
  return (by == RotateBy::kNothing || by == RotateBy::kLanes) && out.format.group_rows == 1 &&
         width % kTile == 0 && std::all_of(operands.begin(), operands.end(), [&](Tensor operand) {
           return !operand.data || (operand.dtype == QUTLASS_BF16 && rows_are_aligned(operand, width));
         });
}

// make(matrix) enqueues what fills a matrix like the one given, in working memory; then it is quantized.
template <typename Make>
void quantize_made(Stream stream, qutlass_tensor like, const qutlass_rotation& rotation,
                   const qutlass_rounding& rounding, bool find_global_scale, const qutlass_quantized& out,
                   const Make& make) {
  const auto bytes = static_cast<size_t>(element_count(like) * dense_bytes(like.dtype));
  const DeviceScratch made(stream.device, bytes);
  like.data = made.as<void>();
  make(like);
  quantize(stream, like, rotation, rounding, find_global_scale, out);
}

}  // namespace qutlass::cuda
