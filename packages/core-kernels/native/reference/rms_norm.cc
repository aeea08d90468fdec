// Root mean square normalization, with the residual addition that precedes it in a transformer block.
#include <cmath>

#include "check.h"
#include "cpu/vectorized.h"
#include "dense_rows.h"
#include "dot.h"
#include "memory.h"
#include "same_shape.h"
#include "steps.h"

namespace qutlass {

RmsNorm require_rms_norm(const qutlass_tensor* x, const qutlass_tensor* residual,
                         const qutlass_tensor* weight, float eps) {
  require_float_tensor("x", x, -1);
  require_float_tensor("weight", weight, 1);
  require_shape("weight", *weight, {x->shape[x->rank - 1]});
  qutlass_tensor carried{};
  if (residual && residual->data) {
    require_float_tensor("residual", residual, -1);
    require_same_shape("residual", *residual, *x);
    carried = *residual;
  }
  if (!(eps > 0) || !std::isfinite(eps)) {
    fail(QUTLASS_E_ARGUMENT, "eps: expected a finite number above 0, got %g", static_cast<double>(eps));
  }
  return {*x, carried, *weight, eps};
}

// The normalization reads the float32 sum, not its rounded copy in the residual.
void rms_norm(Context& context, const RmsNorm& norm, const qutlass_tensor& out) {
  const int64_t width = norm.weight.shape[0];
  const int64_t rows = element_count(norm.x) / width;
  context.threads.parallel_for(rows, rows_per_piece(width), [&](int64_t begin, int64_t end) {
    Scratch scratch(context.memory, static_cast<size_t>(3 * width) * sizeof(float));
    float* values = scratch.as<float>();
    float* addend = values + width;
    const float* gain = load_row(norm.weight, 0, width, addend + width);
    for (int64_t row = begin; row < end; ++row) {
      const float* input = load_row(norm.x, row * width, width, values);
      if (norm.residual.data) {
        const float* carried = load_row(norm.residual, row * width, width, addend);
        for (int64_t i = 0; i < width; ++i) values[i] = input[i] + carried[i];
        store_row(values, norm.residual, row * width, width);
        input = values;
      }
      const float mean = dot(input, input, width) / static_cast<float>(width);
      const float factor = 1.0f / std::sqrt(mean + norm.eps);
      vectorized([=] {
        for (int64_t i = 0; i < width; ++i) values[i] = input[i] * factor * gain[i];
      });
      store_row(values, out, row * width, width);
    }
  });
}

}  // namespace qutlass

// out may be x itself: a row is read before it is written.
extern "C" qutlass_status qutlass_rms_norm(qutlass_stream* stream, const qutlass_tensor* x,
                                           const qutlass_tensor* residual, const qutlass_tensor* weight,
                                           float eps, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    const RmsNorm norm = require_rms_norm(x, residual, weight, eps);
    require_float_tensor("out", out, -1);
    require_same_shape("out", *out, *x);
    if (norm.residual.data && norm.residual.data == out->data)
      fail(QUTLASS_E_ARGUMENT, "residual: expected memory of its own, got that of out");
    if (const auto* gpu = stream->device.operations)
      return gpu->rms_norm(*stream, *x, norm.residual, *weight, eps, *out);
    stream->launch({x->data, norm.residual.data, weight->data, out->data},
                   [norm, out = *out](Context& context) { rms_norm(context, norm, out); });
  });
}
