// Codes back to values: computed in double, rounded once.
#include "check.h"
#include "device.h"
#include "numerics/quantized.h"
#include "rotation.h"
#include "steps.h"

namespace qutlass {
namespace {

// The values of one row. A NaN scale, or a global scale of NaN, makes the whole group NaN.
void dequantize_row(const qutlass_quantized& q, int64_t row, double* values) {
  const DecodeTable& table = decode_table(q.format.element);
  const int32_t bits = element_storage_bits(q.format.element);
  const int64_t width = group_cols(q), r = row / group_rows(q);
  const double global_scale = q.global_scale ? static_cast<double>(*q.global_scale) : 1.0;
  for (int64_t g = 0; g < scale_cols(q); ++g) {
    const double scale = load_scale(q, scale_offset(q, r, g));
    const double zero_point = load_zero_point(q, r, g);
    for (int64_t k = g * width; k < (g + 1) * width; ++k) {
      const double code = table[load_code(q.codes, bits, row * q.cols + k)];
      values[k] = (code - zero_point) * scale / global_scale;
    }
  }
}

}  // namespace

void dequantize(Context& context, const qutlass_quantized& q, const qutlass_rotation& rotation,
                const qutlass_tensor& out) {
  const bool rotated = rotation.kind != QUTLASS_ROTATION_IDENTITY;
  const double gain = rotation_gain(rotation);
  const size_t row_bytes = static_cast<size_t>(q.cols) * sizeof(double);
  context.threads.parallel_for(q.rows, rows_per_piece(q.cols), [&](int64_t begin, int64_t end) {
    const Scratch decoded(context.memory, row_bytes);
    const Scratch unrotated(context.memory, rotated ? row_bytes : 0);
    for (int64_t row = begin; row < end; ++row) {
      double* values = decoded.as<double>();
      dequantize_row(q, row, values);
      if (rotated) {
        unrotate_row(rotation, gain, values, unrotated.as<double>(), q.cols);
        values = unrotated.as<double>();
      }
      for (int64_t k = 0; k < q.cols; ++k) store_dense_once(out.data, out.dtype, row * q.cols + k, values[k]);
    }
  });
}

}  // namespace qutlass

extern "C" qutlass_status qutlass_dequantize(qutlass_stream* stream, const qutlass_quantized* q,
                                             const qutlass_rotation* rotation, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    if (!q) fail(QUTLASS_E_ARGUMENT, "q: expected a quantized matrix, got NULL");
    require_quantized("q", *q);
    require_rotation("rotation", rotation, q->cols);
    require_float_tensor("out", out, 2);
    require_shape("out", *out, {q->rows, q->cols});
    const qutlass_rotation copy = copy_rotation(rotation);
    if (const auto* gpu = stream->device.operations) return gpu->dequantize(*stream, *q, copy, *out);
    stream->launch({q->codes, q->scales, q->zero_points, q->global_scale, copy.data, out->data},
                   [=, q = *q, out = *out](Context& context) { dequantize(context, q, copy, out); });
  });
}
