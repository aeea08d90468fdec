// The cross entropy of logits against target classes.
#include <cmath>
#include <limits>

#include "check.h"
#include "dense_rows.h"
#include "device.h"

namespace qutlass {
namespace {

// Logits converted at a time, few enough for the first-level cache.
constexpr int64_t kBlock = 1024;

template <typename Body>
void for_each_logit(const qutlass_tensor& logits, int64_t row, Body body) {
  const int64_t classes = logits.shape[1];
  float buffer[kBlock];
  for (int64_t i = 0; i < classes; i += kBlock) {
    const int64_t count = std::min(kBlock, classes - i);
    const float* values = load_row(logits, row * classes + i, count, buffer);
    for (int64_t j = 0; j < count; ++j) body(values[j]);
  }
}

float loss_of_row(const qutlass_tensor& logits, int64_t row, int64_t target) {
  float largest = -std::numeric_limits<float>::infinity();
  for_each_logit(logits, row, [&](float value) { largest = std::max(largest, value); });
  double sum = 0;
  for_each_logit(logits, row, [&](float value) { sum += static_cast<double>(std::exp(value - largest)); });
  float buffer;
  const float chosen = *load_row(logits, row * logits.shape[1] + target, 1, &buffer);
  return static_cast<float>(std::log(sum) + (static_cast<double>(largest) - static_cast<double>(chosen)));
}

// A target that is no class gives NaN.
void cross_entropy(Context& context, const qutlass_tensor& logits, const qutlass_tensor& targets,
                   const qutlass_tensor& out) {
  const auto* target = static_cast<const int32_t*>(targets.data);
  auto* losses = static_cast<float*>(out.data);
  context.threads.parallel_for(
      logits.shape[0], rows_per_piece(logits.shape[1]), [&](int64_t begin, int64_t end) {
        for (int64_t m = begin; m < end; ++m) {
          const bool known = target[m] >= 0 && target[m] < logits.shape[1];
          losses[m] = known ? loss_of_row(logits, m, target[m]) : std::numeric_limits<float>::quiet_NaN();
        }
      });
}

}  // namespace
}  // namespace qutlass

extern "C" qutlass_status qutlass_cross_entropy(qutlass_stream* stream, const qutlass_tensor* logits,
                                                const qutlass_tensor* targets, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_float_tensor("logits", logits, 2);
    require_tensor("targets", targets, 1, {QUTLASS_I32});
    require_shape("targets", *targets, {logits->shape[0]});
    require_tensor("out", out, 1, {QUTLASS_F32});
    require_shape("out", *out, {logits->shape[0]});
    if (const auto* gpu = stream->device.operations)
      return gpu->cross_entropy(*stream, *logits, *targets, *out);
    stream->launch({logits->data, targets->data, out->data},
                   [logits = *logits, targets = *targets, out = *out](Context& context) {
                     cross_entropy(context, logits, targets, out);
                   });
  });
}
