// The functions of the binding that make quantized matrices, take them apart and free them.
#pragma once

#include <napi.h>

namespace qutlass::node {

// quantizedCreate(format, rows, cols, codes, scales, zeroPoints, globalScale, clipMask, scaleLayout, tiles):
// Quantized, over tensors that the caller keeps alive
Napi::Value quantized_create(const Napi::CallbackInfo& info);
// quantizeNew(stream, x, rounding, rotation, format, scaleLayout, globalScale, codes, scales, zeroPoints,
// globalScale, clipMask): Quantized, in a block of its own; the last five are the bytes of its parts, 0 for
// those it has not. x of any rank counts as the matrix of its last dimension. A global scale is found if it
// is a part.
Napi::Value quantize_new(const Napi::CallbackInfo& info);
// The same of the transpose of a tensor or a quantized matrix.
Napi::Value quantize_transposed_new(const Napi::CallbackInfo& info);
// quantizeTransposed(stream, x, rotation, rounding, findGlobalScale, q): x as there
Napi::Value quantize_transposed(const Napi::CallbackInfo& info);
// rmsNormQuantizeNew(stream, x, residual, weight, eps, ...) and siluMulQuantizeNew(stream, gate, up, ...): of
// what an operation makes; the rest of the arguments, from the rotation on, is that of quantizeNew
Napi::Value rms_norm_quantize_new(const Napi::CallbackInfo& info);
Napi::Value silu_mul_quantize_new(const Napi::CallbackInfo& info);
// quantizedPart(q, part, dtype, shape): Tensor, a view into the block; parts count as in quantizedCreate
Napi::Value quantized_part(const Napi::CallbackInfo& info);
// quantizedRelease(q)
Napi::Value quantized_release(const Napi::CallbackInfo& info);

}  // namespace qutlass::node
