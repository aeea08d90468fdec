// Rotary position embedding: RoFormer, https://arxiv.org/abs/2104.09864, with the pairs (i, i + head_dim / 2)
// of the Llama checkpoints.
#include "rope.h"

#include <cmath>

#include "check.h"
#include "dense_rows.h"
#include "memory.h"

namespace qutlass {
namespace {

void rotate_head(float* head, const float* cosine, const float* sine, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float first = head[i];
    const float second = head[i + half];
    head[i] = first * cosine[i] - second * sine[i];
    head[i + half] = second * cosine[i] + first * sine[i];
  }
}

}  // namespace

void require_rope(const char* x_name, const qutlass_tensor* x, const qutlass_tensor* positions,
                  const qutlass_tensor* inv_freq) {
  require_float_tensor(x_name, x, 3);
  if (x->shape[2] % 2 != 0) {
    fail(QUTLASS_E_SHAPE, "%s: expected an even head_dim, got shape %s", x_name, shape_text(*x).c_str());
  }
  require_tensor("positions", positions, 1, {QUTLASS_I32});
  require_shape("positions", *positions, {x->shape[0]});
  require_tensor("inv_freq", inv_freq, 1, {QUTLASS_F32});
  require_shape("inv_freq", *inv_freq, {x->shape[2] / 2});
}

// The angle position * inv_freq is a float32, as in the implementations that the checkpoints were trained
// with.
void rope(Context& context, const qutlass_tensor& x, const qutlass_tensor& positions,
          const qutlass_tensor& inv_freq) {
  const int64_t heads = x.shape[1];
  const int64_t head_dim = x.shape[2];
  const int64_t half = head_dim / 2;
  const int64_t width = heads * head_dim;
  const auto* position = static_cast<const int32_t*>(positions.data);
  const auto* frequency = static_cast<const float*>(inv_freq.data);
  context.threads.parallel_for(x.shape[0], rows_per_piece(width), [&](int64_t begin, int64_t end) {
    Scratch scratch(context.memory, static_cast<size_t>(width + head_dim) * sizeof(float));
    float* cosine = scratch.as<float>();
    float* sine = cosine + half;
    float* row = sine + half;
    for (int64_t m = begin; m < end; ++m) {
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(position[m]) * frequency[i];
        cosine[i] = std::cos(angle);
        sine[i] = std::sin(angle);
      }
      const float* values = load_row(x, m * width, width, row);
      if (values != row) std::copy_n(values, width, row);
      for (int64_t head = 0; head < heads; ++head) rotate_head(row + head * head_dim, cosine, sine, half);
      store_row(row, x, m * width, width);
    }
  });
}

}  // namespace qutlass

extern "C" qutlass_status qutlass_rope(qutlass_stream* stream, const qutlass_tensor* x,
                                       const qutlass_tensor* positions, const qutlass_tensor* inv_freq) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_rope("x", x, positions, inv_freq);
    if (const auto* gpu = stream->device.operations) return gpu->rope(*stream, *x, *positions, *inv_freq);
    stream->launch({x->data, positions->data, inv_freq->data},
                   [x = *x, positions = *positions, inv_freq = *inv_freq](Context& context) {
                     rope(context, x, positions, inv_freq);
                   });
  });
}
