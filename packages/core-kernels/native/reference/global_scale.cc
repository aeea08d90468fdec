// The global scale of a format for a tensor.
#include <algorithm>
#include <bit>

#include "check.h"
#include "cpu/vectorized.h"
#include "device.h"
#include "numerics/group_scale.h"
#include "rotation.h"
#include "steps.h"

namespace qutlass {

float finite_amax(Context& context, const qutlass_tensor& x, const qutlass_rotation& rotation) {
  const int64_t row_count = x.shape[0], cols = x.shape[1];
  const Scratch memory(context.memory, static_cast<size_t>(row_count) * sizeof(float));
  auto* row_amax = memory.as<float>();
  context.threads.parallel_for(row_count, rows_per_piece(cols), [&](int64_t begin, int64_t end) {
    const RotatedRows rows(context.memory, x, rotation);
    for (int64_t row = begin; row < end; ++row) {
      const float* values = rows[row];
      vectorized([=] {
        // As integers, which are ordered as the magnitudes are.
        int32_t amax = 0;
        for (int64_t i = 0; i < cols; ++i) {
          const int32_t magnitude = std::bit_cast<int32_t>(values[i]) & 0x7FFFFFFF;
          amax = std::max(amax, magnitude < 0x7F800000 ? magnitude : 0);
        }
        row_amax[row] = std::bit_cast<float>(amax);
      });
    }
  });
  return *std::max_element(row_amax, row_amax + row_count);
}

}  // namespace qutlass

extern "C" qutlass_status qutlass_global_scale(qutlass_stream* stream, const qutlass_tensor* x,
                                               const qutlass_rotation* rotation, const qutlass_format* format,
                                               const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    if (!format) fail(QUTLASS_E_ARGUMENT, "format: expected a format, got NULL");
    require_format("format", *format);
    const int32_t rule = format->rule;
    if (!has_global_scale(rule)) {
      fail(QUTLASS_E_FORMAT, "format: expected a format with a global scale, rule abs_max, nv or four_six");
    }
    require_float_tensor("x", x, 2);
    require_rotation("rotation", rotation, x->shape[1]);
    require_tensor("out", out, -1, {QUTLASS_F32});
    if (element_count(*out) != 1) {
      fail(QUTLASS_E_SHAPE, "out: expected one element, got shape %s", shape_text(*out).c_str());
    }
    const qutlass_rotation copy = copy_rotation(rotation);
    auto* result = static_cast<float*>(out->data);
    if (const auto* gpu = stream->device.operations)
      return gpu->global_scale(*stream, *x, copy, *format, *out);
    stream->launch({x->data, copy.data, result}, [=, x = *x](Context& context) {
      *result =
          rule == QUTLASS_RULE_MX_ABS_MAX ? kMxAbsMax : nv_global_scale(rule, finite_amax(context, x, copy));
    });
  });
}
