// Quantization of a transpose: the definition is one after the other.
#include "check.h"
#include "memory.h"
#include "numerics/quantized.h"
#include "rotation.h"
#include "steps.h"

namespace qutlass {
namespace {

// The tensor that is transposed, without data where there are only codes yet.
qutlass_tensor values_of(const qutlass_operand& x) {
  if (!x.is_quantized) return x.dense;
  return {nullptr, QUTLASS_BF16, 2, {x.quantized.rows, x.quantized.cols}};
}

size_t bytes_of(const qutlass_tensor& tensor) {
  return static_cast<size_t>(element_count(tensor)) * static_cast<size_t>(dtype_bytes(tensor.dtype));
}

void quantize_transposed(Context& context, const qutlass_operand& x, const Quantization& q) {
  qutlass_tensor values = values_of(x);
  qutlass_tensor across{nullptr, values.dtype, 2, {q.out.rows, q.out.cols}};
  const Scratch transposed(context.memory, bytes_of(across));
  across.data = transposed.as<void>();
  const Scratch decoded(context.memory, x.is_quantized ? bytes_of(values) : 0);
  if (x.is_quantized) {
    values.data = decoded.as<void>();
    dequantize(context, x.quantized, copy_rotation(nullptr), values);
  }
  transpose(context, values, across);
  quantize(context, across, q);
}

}  // namespace
}  // namespace qutlass

extern "C" qutlass_status qutlass_quantize_transposed(qutlass_stream* stream, const qutlass_operand* x,
                                                      const qutlass_rotation* rotation,
                                                      const qutlass_rounding* rounding,
                                                      int32_t find_global_scale,
                                                      const qutlass_quantized* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    if (!x) fail(QUTLASS_E_ARGUMENT, "x: expected a matrix, got NULL");
    const Quantization q = require_quantization(rotation, rounding, find_global_scale, out);
    if (x->is_quantized) {
      require_quantized("x", x->quantized);
    } else {
      require_float_tensor("x", &x->dense, 2);
    }
    require_shape("x", values_of(*x), {out->cols, out->rows});
    if (const auto* gpu = stream->device.operations)
      return gpu->quantize_transposed(*stream, *x, q.rotation, q.rounding, q.find_global_scale, *out);
    const qutlass_quantized from = x->is_quantized ? x->quantized : qutlass_quantized{};
    stream->launch({x->is_quantized ? from.codes : x->dense.data, from.scales, from.zero_points,
                    from.global_scale, q.rotation.data, q.rounding.counter, out->codes, out->scales,
                    out->zero_points, out->global_scale, out->clip_mask},
                   [x = *x, q](Context& context) { quantize_transposed(context, x, q); });
  });
}
