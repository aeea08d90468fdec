// Conversion between dtypes.
#include <algorithm>
#include <cstring>

#include "check.h"
#include "dense_rows.h"
#include "device.h"
#include "numerics/dense.h"
#include "numerics/elements.h"

namespace qutlass {
namespace {

// Calls convert(load) with the function that reads element i of x as a double, which holds every value of
// every dtype.
template <typename Convert>
void with_loader(const qutlass_tensor& x, const Convert& convert) {
  const void* data = x.data;
  const auto table = [&](int32_t element) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    const DecodeTable& values = decode_table(element);
    convert([bytes, &values](int64_t i) { return static_cast<double>(values[bytes[i]]); });
  };
  switch (x.dtype) {
    case QUTLASS_I32:
      return convert(
          [p = static_cast<const int32_t*>(data)](int64_t i) { return static_cast<double>(p[i]); });
    case QUTLASS_I8: return table(QUTLASS_INT8);
    case QUTLASS_U8:
      return convert(
          [p = static_cast<const uint8_t*>(data)](int64_t i) { return static_cast<double>(p[i]); });
    case QUTLASS_F8_E4M3: return table(QUTLASS_E4M3);
    case QUTLASS_F8_E5M2: return table(QUTLASS_E5M2);
    default: return table(QUTLASS_E8M0);
  }
}

void convert_range(const qutlass_tensor& x, const qutlass_tensor& out, int64_t begin, int64_t end) {
  if (x.dtype == out.dtype) {
    const int64_t bytes = dtype_bytes(x.dtype);
    std::memmove(static_cast<char*>(out.data) + begin * bytes,
                 static_cast<const char*>(x.data) + begin * bytes,
                 static_cast<size_t>((end - begin) * bytes));
    return;
  }
  if (is_float(x.dtype)) {
    constexpr int64_t kBuffer = 1024;
    float buffer[kBuffer];
    for (int64_t i = begin; i < end; i += kBuffer) {
      const int64_t count = std::min(kBuffer, end - i);
      store_row(load_row(x, i, count, buffer), out, i, count);
    }
    return;
  }
  with_loader(x, [&](const auto& load) {
    for (int64_t i = begin; i < end; ++i) store_dense_once(out.data, out.dtype, i, load(i));
  });
}

}  // namespace
}  // namespace qutlass

extern "C" qutlass_status qutlass_convert(qutlass_stream* stream, const qutlass_tensor* x,
                                          const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("x", x);
    require_tensor("out", out);
    if (x->dtype != out->dtype && !is_float(out->dtype)) {
      fail(QUTLASS_E_DTYPE, "out: expected f32, bf16, f16 or the dtype of x (%s), got %s",
           dtype_name(x->dtype), dtype_name(out->dtype));
    }
    const int64_t count = element_count(*x);
    if (element_count(*out) != count) {
      fail(QUTLASS_E_SHAPE, "out: expected as many elements as x %s, got shape %s", shape_text(*x).c_str(),
           shape_text(*out).c_str());
    }
    if (const auto* gpu = stream->device.operations) return gpu->convert(*stream, *x, *out);
    stream->launch({x->data, out->data}, [x = *x, out = *out, count](Context& context) {
      context.threads.parallel_for(count, kElementsPerPiece,
                                   [&](int64_t begin, int64_t end) { convert_range(x, out, begin, end); });
    });
  });
}
