// Quantization of what another operation makes, which is not written: the definition is one after the other.
#include "check.h"
#include "memory.h"
#include "steps.h"

namespace qutlass {
namespace {

// Quantizes a matrix like this tensor, which make(context, matrix) fills.
template <typename Make>
void quantize_made(Context& context, qutlass_tensor like, const Quantization& q, const Make& make) {
  const Scratch made(context.memory,
                     static_cast<size_t>(element_count(like)) * static_cast<size_t>(dtype_bytes(like.dtype)));
  like.data = made.as<void>();
  make(context, like);
  quantize(context, like, q);
}

}  // namespace
}  // namespace qutlass

extern "C" qutlass_status qutlass_rms_norm_quantize(qutlass_stream* stream, const qutlass_tensor* x,
                                                    const qutlass_tensor* residual,
                                                    const qutlass_tensor* weight, float eps,
                                                    const qutlass_rotation* rotation,
                                                    int32_t find_global_scale, const qutlass_quantized* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    const RmsNorm norm = require_rms_norm(x, residual, weight, eps);
    const Quantization q = require_quantization("x", x, rotation, nullptr, find_global_scale, out);
    if (const auto* gpu = stream->device.operations)
      return gpu->rms_norm_quantize(*stream, *x, norm.residual, *weight, eps, q.rotation, q.find_global_scale,
                                    *out);
    stream->launch({x->data, norm.residual.data, weight->data, q.rotation.data, out->codes, out->scales,
                    out->zero_points, out->global_scale, out->clip_mask},
                   [norm, q](Context& context) {
                     quantize_made(context, norm.x, q,
                                   [&](Context& c, const qutlass_tensor& made) { rms_norm(c, norm, made); });
                   });
  });
}

extern "C" qutlass_status qutlass_silu_mul_quantize(qutlass_stream* stream, const qutlass_tensor* gate,
                                                    const qutlass_tensor* up,
                                                    const qutlass_rotation* rotation,
                                                    int32_t find_global_scale, const qutlass_quantized* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_silu_mul(gate, up);
    const Quantization q = require_quantization("gate", gate, rotation, nullptr, find_global_scale, out);
    if (const auto* gpu = stream->device.operations)
      return gpu->silu_mul_quantize(*stream, *gate, *up, q.rotation, q.find_global_scale, *out);
    stream->launch({gate->data, up->data, q.rotation.data, out->codes, out->scales, out->zero_points,
                    out->global_scale, out->clip_mask},
                   [gate = *gate, up = *up, q](Context& context) {
                     quantize_made(context, gate, q, [&](Context& c, const qutlass_tensor& made) {
                       silu_mul(c, gate, up, made);
                     });
                   });
  });
}
