// Quantization to int8 with scales that the caller brings.
#include "check.h"
#include "dense_rows.h"
#include "device.h"
#include "numerics/dense.h"
#include "numerics/elements.h"
#include "same_shape.h"

extern "C" qutlass_status qutlass_quantize_int8_with_scale(qutlass_stream* stream, const qutlass_tensor* x,
                                                           const qutlass_tensor* scale,
                                                           const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_float_tensor("x", x, -1);
    require_float_tensor("scale", scale, -1);
    require_tensor("out", out, x->rank, {QUTLASS_I8});
    require_same_shape("out", *out, *x);
    const int64_t cols = x->shape[x->rank - 1], rows = element_count(*x) / cols;
    const int64_t scales = element_count(*scale);
    if (scales != 1 && scales != rows) {
      fail(QUTLASS_E_SHAPE, "scale: expected one value or one for each of %lld rows, got shape %s",
           static_cast<long long>(rows), shape_text(*scale).c_str());
    }
    if (const auto* gpu = stream->device.operations)
      return gpu->quantize_int8_with_scale(*stream, *x, *scale, *out);
    stream->launch(
        {x->data, scale->data, out->data}, [=, x = *x, scale = *scale, out = *out](Context& context) {
          auto* codes = static_cast<int8_t*>(out.data);
          context.threads.parallel_for(rows, rows_per_piece(cols), [&](int64_t begin, int64_t end) {
            const Scratch buffer(context.memory, static_cast<size_t>(cols) * sizeof(float));
            for (int64_t row = begin; row < end; ++row) {
              const float* values = load_row(x, row * cols, cols, buffer.as<float>());
              const float divisor = load_dense(scale.data, scale.dtype, scales == 1 ? 0 : row);
              for (int64_t i = 0; i < cols; ++i) {
                codes[row * cols + i] = static_cast<int8_t>(encode_integer(values[i] / divisor, -128, 127));
              }
            }
          });
        });
  });
}
