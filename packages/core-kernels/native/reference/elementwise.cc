// Operations on tensors of one shape, element by element.
#include "check.h"
#include "cpu/vectorized.h"
#include "dense_rows.h"
#include "exponential.h"
#include "same_shape.h"
#include "steps.h"

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

void require_pair(const char* a_name, const qutlass_tensor* a, const char* b_name, const qutlass_tensor* b) {
  require_float_tensor(a_name, a, -1);
  require_float_tensor(b_name, b, -1);
  require_same_shape(b_name, *b, *a);
}

}  // namespace

void require_silu_mul(const qutlass_tensor* gate, const qutlass_tensor* up) {
  require_pair("gate", gate, "up", up);
}

void silu_mul(Context& context, const qutlass_tensor& gate, const qutlass_tensor& up,
              const qutlass_tensor& out) {
  // The exponential makes an element several times as dear as a sum.
  map(context, gate, up, out, kElementsPerPiece / 4,
      [](float g, float u) { return g / (1.0f + exponential(-g)) * u; });
}

}  // namespace qutlass

// In both, out may be one of the inputs itself: a block is read before it is written.

extern "C" qutlass_status qutlass_silu_mul(qutlass_stream* stream, const qutlass_tensor* gate,
                                           const qutlass_tensor* up, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_silu_mul(gate, up);
    require_float_tensor("out", out, -1);
    require_same_shape("out", *out, *gate);
    if (const auto* gpu = stream->device.operations) return gpu->silu_mul(*stream, *gate, *up, *out);
    stream->launch({gate->data, up->data, out->data}, [gate = *gate, up = *up, out = *out](Context& context) {
      silu_mul(context, gate, up, out);
    });
  });
}

extern "C" qutlass_status qutlass_add(qutlass_stream* stream, const qutlass_tensor* a,
                                      const qutlass_tensor* b, float scale, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_pair("a", a, "b", b);
    require_float_tensor("out", out, -1);
    require_same_shape("out", *out, *a);
    if (const auto* gpu = stream->device.operations) return gpu->add(*stream, *a, *b, scale, *out);
    stream->launch({a->data, b->data, out->data}, [a = *a, b = *b, scale, out = *out](Context& context) {
      map(context, a, b, out, kElementsPerPiece,
          [scale](float left, float right) { return left + scale * right; });
    });
  });
}
