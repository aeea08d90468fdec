// Operations on tensors of one shape, element by element.
#include "check.h"
#include "cpu/vectorized.h"
#include "dense_rows.h"
#include "device.h"
#include "exponential.h"
#include "same_shape.h"

namespace qutlass {
namespace {

// Elements converted at a time, few enough for the first-level cache.
constexpr int64_t kBlock = 1024;

template <typename Function>
void map(Context& context, const qutlass_tensor& a, const qutlass_tensor& b, const qutlass_tensor& out,
         int64_t grain, Function function) {
  context.threads.parallel_for(element_count(out), grain, [&](int64_t begin, int64_t end) {
    float a_buffer[kBlock];
    float b_buffer[kBlock];
    float result[kBlock];
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t count = std::min(kBlock, end - i);
      const float* left = load_row(a, i, count, a_buffer);
      const float* right = load_row(b, i, count, b_buffer);
      vectorized([=, to = result] {
        for (int64_t j = 0; j < count; ++j) to[j] = function(left[j], right[j]);
      });
      store_row(result, out, i, count);
    }
  });
}

// gpu(operations) runs the operation on a device other than the CPU.
template <typename Function, typename Gpu>
qutlass_status enqueue_map(qutlass_stream* stream, const char* a_name, const qutlass_tensor* a,
                           const char* b_name, const qutlass_tensor* b, const qutlass_tensor* out,
                           int64_t grain, Function function, Gpu gpu) {
  return guarded([&] {
    require_stream(stream);
    require_float_tensor(a_name, a, -1);
    require_float_tensor(b_name, b, -1);
    require_same_shape(b_name, *b, *a);
    require_float_tensor("out", out, -1);
    require_same_shape("out", *out, *a);
    if (const auto* operations = stream->device.operations) return gpu(*operations);
    stream->launch({a->data, b->data, out->data},
                   [a = *a, b = *b, out = *out, grain, function](Context& context) {
                     map(context, a, b, out, grain, function);
                   });
  });
}

}  // namespace
}  // namespace qutlass

// In both, out may be one of the inputs itself: a block is read before it is written.

extern "C" qutlass_status qutlass_silu_mul(qutlass_stream* stream, const qutlass_tensor* gate,
                                           const qutlass_tensor* up, const qutlass_tensor* out) {
  // The exponential makes an element several times as dear as a sum.
  return qutlass::enqueue_map(
      stream, "gate", gate, "up", up, out, qutlass::kElementsPerPiece / 4,
      [](float g, float u) { return g / (1.0f + qutlass::exponential(-g)) * u; },
      [=](const auto& gpu) { gpu.silu_mul(*stream, *gate, *up, *out); });
}

extern "C" qutlass_status qutlass_add(qutlass_stream* stream, const qutlass_tensor* a,
                                      const qutlass_tensor* b, float scale, const qutlass_tensor* out) {
  return qutlass::enqueue_map(
      stream, "a", a, "b", b, out, qutlass::kElementsPerPiece,
      [scale](float left, float right) { return left + scale * right; },
      [=](const auto& gpu) { gpu.add(*stream, *a, *b, scale, *out); });
}
