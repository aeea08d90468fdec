// The layout of weights that a device has for products with few rows.
#include "check.h"
#include "cpu/tiles/tile.h"
#include "device.h"
#include "numerics/quantized.h"

namespace qutlass {
namespace {

int64_t require_tile_bytes(const qutlass_device& device, const qutlass_quantized* q) {
  if (!q) fail(QUTLASS_E_ARGUMENT, "q: expected a quantized matrix, got NULL");
  require_quantized("q", *q);
  return device.operations ? device.operations->tile_bytes(*q) : tile_bytes(*q);
}

}  // namespace
}  // namespace qutlass

extern "C" {

qutlass_status qutlass_tile_bytes(const qutlass_device* device, const qutlass_quantized* q, int64_t* bytes) {
  using namespace qutlass;
  return guarded([&] {
    if (!device || !bytes) fail(QUTLASS_E_ARGUMENT, "device and bytes: expected pointers, got NULL");
    *bytes = require_tile_bytes(*device, q);
  });
}

qutlass_status qutlass_tile(qutlass_stream* stream, const qutlass_quantized* q, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    const int64_t bytes = require_tile_bytes(stream->device, q);
    require_tensor("out", out, 1, {QUTLASS_U8});
    require_shape("out", *out, {bytes});
    if (const Operations* operations = stream->device.operations) {
      operations->tile(*stream, *q, out->data);
      return;
    }
    stream->launch({q->codes, q->scales, q->zero_points, out->data},
                   [copy = *q, data = out->data](Context& context) { write_tiles(context, copy, data); });
  });
}

}  // extern "C"
