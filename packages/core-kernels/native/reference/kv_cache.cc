// Appending keys or values to a cache.
#include "kv_cache.h"

#include "check.h"
#include "dense_rows.h"
#include "memory.h"

namespace qutlass {

void require_kv_append(const char* x_name, const qutlass_tensor* x, const qutlass_tensor* positions,
                       const char* cache_name, const qutlass_tensor* cache) {
  require_float_tensor(x_name, x, 3);
  require_tensor("positions", positions, 1, {QUTLASS_I32});
  require_shape("positions", *positions, {x->shape[0]});
  require_float_tensor(cache_name, cache, 3);
  require_shape(cache_name, *cache, {cache->shape[0], x->shape[1], x->shape[2]});
}

// Threads share out columns, not rows: each writes its columns of all rows in order, so that of rows with the
// same position the last one stays.
void kv_append(Context& context, const qutlass_tensor& x, const qutlass_tensor& positions,
               const qutlass_tensor& cache) {
  const int64_t rows = x.shape[0];
  const int64_t capacity = cache.shape[0];
  const int64_t width = x.shape[1] * x.shape[2];
  const auto* position = static_cast<const int32_t*>(positions.data);
  context.threads.parallel_for(width, rows_per_piece(rows), [&](int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    Scratch scratch(context.memory, static_cast<size_t>(count) * sizeof(float));
    for (int64_t m = 0; m < rows; ++m) {
      if (position[m] < 0 || position[m] >= capacity) continue;
      const float* values = load_row(x, m * width + begin, count, scratch.as<float>());
      store_row(values, cache, position[m] * width + begin, count);
    }
  });
}

}  // namespace qutlass

extern "C" qutlass_status qutlass_kv_append(qutlass_stream* stream, const qutlass_tensor* x,
                                            const qutlass_tensor* positions, const qutlass_tensor* cache) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_kv_append("x", x, positions, "cache", cache);
    if (const auto* gpu = stream->device.operations) return gpu->kv_append(*stream, *x, *positions, *cache);
    stream->launch({x->data, positions->data, cache->data},
                   [x = *x, positions = *positions, cache = *cache](Context& context) {
                     kv_append(context, x, positions, cache);
                   });
  });
}
