// The global scale of a format for a tensor.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "check.h"
#include "device.h"
#include "numerics/quantized.h"
#include "rotation.h"

namespace qutlass {
namespace {

// QuTLASS's factor: e8m0 scales are powers of two not above amax, so elements are below 2 and 3 times that
// fits e2m1.
constexpr float kMxAbsMax = 3;

// What the largest element becomes: the largest e2m1 value under the largest e4m3 scale. Four over six leaves
// room for scales that are 1.5 times as large: 256 * 1.5 = 384 fits e4m3.
constexpr float kNv = 448 * 6;
constexpr float kNvFourSix = 256 * 6;

// Over finite values only: a NaN or an infinity spoils its own group, not the scale of all others.
float finite_amax(Context& context, const qutlass_tensor& x, const qutlass_rotation& rotation) {
  const int64_t row_count = x.shape[0], cols = x.shape[1];
  const Scratch memory(context.memory, static_cast<size_t>(row_count) * sizeof(float));
  auto* row_amax = memory.as<float>();
  context.threads.parallel_for(row_count, rows_per_piece(cols), [&](int64_t begin, int64_t end) {
    const RotatedRows rows(context.memory, x, rotation);
    for (int64_t row = begin; row < end; ++row) {
      const float* values = rows[row];
      float amax = 0;
      for (int64_t i = 0; i < cols; ++i) {
        const float magnitude = std::fabs(values[i]);
        if (magnitude <= FLT_MAX) amax = std::max(amax, magnitude);
      }
      row_amax[row] = amax;
    }
  });
  return *std::max_element(row_amax, row_amax + row_count);
}

// 1 for zeros; the largest finite number for an amax so small that the quotient would overflow.
float encode_scale(float top, float amax) { return amax > 0 ? std::min(top / amax, FLT_MAX) : 1; }

}  // namespace
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
    if (const auto* gpu = stream->device.operations) return gpu->global_scale(*stream, *x, copy, *format, *out);
    stream->launch({x->data, copy.data, result}, [=, x = *x](Context& context) {
      if (rule == QUTLASS_RULE_MX_ABS_MAX) {
        *result = kMxAbsMax;
      } else {
        *result = encode_scale(rule == QUTLASS_RULE_NV ? kNv : kNvFourSix, finite_amax(context, x, copy));
      }
    });
  });
}
