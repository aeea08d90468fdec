// The layout of weights that a device has for products with few rows.
#include "check.h"
#include "device.h"
#include "numerics/quantized.h"

namespace qutlass {
namespace {

int64_t require_tile_bytes(const qutlass_device& device, const qutlass_quantized* q) {
  if (!q) fail(QUTLASS_E_ARGUMENT, "q: expected a quantized matrix, got NULL");
  require_quantized("q", *q);
  if (!device.operations) fail(QUTLASS_E_UNSUPPORTED, "q: the kernels of the CPU read rows, it has no tiles");
  return device.operations->tile_bytes(*q);
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
    stream->device.operations->tile(*stream, *q, out->data);
  });
}

}  // extern "C"
