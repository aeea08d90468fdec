// Scales of a byte in the 128x4 blocked layout that block-scaled tensor cores read.
#include "check.h"
#include "dense_rows.h"
#include "device.h"
#include "numerics/quantized.h"

namespace qutlass {
namespace {

void require_blocked(const char* row_name, const qutlass_tensor* row_major, const char* blocked_name,
                     const qutlass_tensor* blocked) {
  const std::initializer_list<int32_t> dtypes = {QUTLASS_U8, QUTLASS_F8_E4M3, QUTLASS_F8_E8M0};
  require_tensor(row_name, row_major, 2, dtypes);
  require_tensor(blocked_name, blocked, 1, dtypes);
  require_shape(blocked_name, *blocked, {blocked_bytes(row_major->shape[0], row_major->shape[1])});
}

}  // namespace
}  // namespace qutlass

extern "C" {

qutlass_status qutlass_scales_to_blocked(qutlass_stream* stream, const qutlass_tensor* scales,
                                         const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_blocked("scales", scales, "out", out);
    if (const auto* gpu = stream->device.operations) return gpu->scales_to_blocked(*stream, *scales, *out);
    stream->launch({scales->data, out->data}, [scales = *scales, out = *out](Context& context) {
      const int64_t rows = scales.shape[0], cols = scales.shape[1];
      const auto* source = static_cast<const uint8_t*>(scales.data);
      auto* blocked = static_cast<uint8_t*>(out.data);
      const int64_t padded_rows = ceil_div(rows, 128) * 128, padded_cols = ceil_div(cols, 4) * 4;
      context.threads.parallel_for(padded_rows, rows_per_piece(padded_cols), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t c = 0; c < padded_cols; ++c) {
            blocked[blocked_offset(r, c, cols)] = r < rows && c < cols ? source[r * cols + c] : uint8_t{0};
          }
        }
      });
    });
  });
}

qutlass_status qutlass_scales_from_blocked(qutlass_stream* stream, const qutlass_tensor* blocked,
                                           const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_blocked("out", out, "blocked", blocked);
    if (const auto* gpu = stream->device.operations) return gpu->scales_from_blocked(*stream, *blocked, *out);
    stream->launch({blocked->data, out->data}, [blocked = *blocked, out = *out](Context& context) {
      const int64_t rows = out.shape[0], cols = out.shape[1];
      const auto* source = static_cast<const uint8_t*>(blocked.data);
      auto* scales = static_cast<uint8_t*>(out.data);
      context.threads.parallel_for(rows, rows_per_piece(cols), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t c = 0; c < cols; ++c) scales[r * cols + c] = source[blocked_offset(r, c, cols)];
        }
      });
    });
  });
}

}  // extern "C"
