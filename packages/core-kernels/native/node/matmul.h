// The functions of the binding that multiply, and what kernels there are for it. A problem is nine arguments:
// a, b, aRotation, aFormat, alpha, alphaTensor, bias, out, accuracy.
#pragma once

#include <napi.h>

namespace qutlass::node {

// matmul(stream, kernel, ...problem)
Napi::Value matmul(const Napi::CallbackInfo& info);
// matmulGroup(stream, kernel, ...problems)
Napi::Value matmul_group(const Napi::CallbackInfo& info);
// matmulExperts(stream, offsets, ...problem)
Napi::Value matmul_experts(const Napi::CallbackInfo& info);
// matmulSupported(kernel, ...problem): null, or the error that matmul would throw
Napi::Value matmul_supported(const Napi::CallbackInfo& info);
// kernels(): what they are
Napi::Value kernels(const Napi::CallbackInfo& info);

}  // namespace qutlass::node
