// Rows of an embedding table.
#include <limits>

#include "check.h"
#include "dense_rows.h"
#include "device.h"
#include "memory.h"

namespace qutlass {
namespace {

void embedding(Context& context, const qutlass_tensor& ids, const qutlass_tensor& table,
               const qutlass_tensor& out) {
  const int64_t vocabulary = table.shape[0];
  const int64_t width = table.shape[1];
  const auto* id = static_cast<const int32_t*>(ids.data);
  context.threads.parallel_for(ids.shape[0], rows_per_piece(width), [&](int64_t begin, int64_t end) {
    Scratch scratch(context.memory, static_cast<size_t>(width) * sizeof(float));
    for (int64_t m = begin; m < end; ++m) {
      const float* row = scratch.as<float>();
      if (id[m] >= 0 && id[m] < vocabulary) {
        row = load_row(table, id[m] * width, width, scratch.as<float>());
      } else {
        std::fill_n(scratch.as<float>(), width, std::numeric_limits<float>::quiet_NaN());
      }
      store_row(row, out, m * width, width);
    }
  });
}

}  // namespace
}  // namespace qutlass

extern "C" qutlass_status qutlass_embedding(qutlass_stream* stream, const qutlass_tensor* ids,
                                            const qutlass_tensor* table, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("ids", ids, 1, {QUTLASS_I32});
    require_float_tensor("table", table, 2);
    require_float_tensor("out", out, 2);
    require_shape("out", *out, {ids->shape[0], table->shape[1]});
    if (const auto* gpu = stream->device.operations) return gpu->embedding(*stream, *ids, *table, *out);
    stream->launch(
        {ids->data, table->data, out->data},
        [ids = *ids, table = *table, out = *out](Context& context) { embedding(context, ids, table, out); });
  });
}
