// Host memory to tensors and back.
#include "check.h"
#include "device.h"

using qutlass::fail;
using qutlass::guarded;

namespace {

void require_bytes(const qutlass_tensor& tensor, const void* host, size_t bytes) {
  if (!host) fail(QUTLASS_E_ARGUMENT, "host: expected a pointer, got NULL");
  const int64_t expected = qutlass::element_count(tensor) * qutlass::dtype_bytes(tensor.dtype);
  if (bytes != static_cast<size_t>(expected)) {
    fail(QUTLASS_E_SHAPE, "bytes: expected %lld for shape %s of %s, got %zu",
         static_cast<long long>(expected), qutlass::shape_text(tensor).c_str(),
         qutlass::dtype_name(tensor.dtype), bytes);
  }
}

}  // namespace

extern "C" {

qutlass_status qutlass_write(qutlass_stream* stream, const void* host, size_t bytes,
                             const qutlass_tensor* out) {
  return guarded([&] {
    qutlass::require_stream(stream);
    qutlass::require_tensor("out", out);
    require_bytes(*out, host, bytes);
    stream->require_not_capturing("writing host memory");
    stream->write(out->data, host, bytes);
  });
}

qutlass_status qutlass_read(qutlass_stream* stream, const qutlass_tensor* x, void* host, size_t bytes) {
  return guarded([&] {
    qutlass::require_stream(stream);
    qutlass::require_tensor("x", x);
    require_bytes(*x, host, bytes);
    stream->require_not_capturing("reading a tensor");
    stream->read(x->data, host, bytes);
  });
}

}  // extern "C"
