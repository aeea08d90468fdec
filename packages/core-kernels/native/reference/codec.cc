// Elements to codes of a byte each, and back.
#include "check.h"
#include "dense_rows.h"
#include "device.h"
#include "numerics/elements.h"

namespace qutlass {
namespace {

void require_codec(const char* codes_name, const qutlass_tensor* codes, const char* values_name,
                   const qutlass_tensor* values, int32_t element) {
  if (element < 0 || element >= QUTLASS_ELEMENT_COUNT) {
    fail(QUTLASS_E_ARGUMENT, "element: expected 0 to %d, got %d", QUTLASS_ELEMENT_COUNT - 1, element);
  }
  require_tensor(values_name, values, -1, {QUTLASS_F32});
  require_tensor(codes_name, codes, -1,
                 {QUTLASS_U8, QUTLASS_I8, QUTLASS_F8_E4M3, QUTLASS_F8_E5M2, QUTLASS_F8_E8M0});
  if (element_count(*codes) != element_count(*values)) {
    fail(QUTLASS_E_SHAPE, "out: expected as many elements as the input, got shapes %s of %s and %s of %s",
         shape_text(*values).c_str(), values_name, shape_text(*codes).c_str(), codes_name);
  }
}

}  // namespace
}  // namespace qutlass

extern "C" {

qutlass_status qutlass_encode(qutlass_stream* stream, const qutlass_tensor* x, int32_t element,
                              const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_codec("out", out, "x", x, element);
    const auto* values = static_cast<const float*>(x->data);
    auto* codes = static_cast<uint8_t*>(out->data);
    if (const auto* gpu = stream->device.operations) return gpu->encode(*stream, *x, element, *out);
    stream->launch({values, codes}, [=, count = element_count(*x)](Context& context) {
      context.threads.parallel_for(count, kElementsPerPiece, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) codes[i] = encode_element(element, values[i]);
      });
    });
  });
}

qutlass_status qutlass_decode(qutlass_stream* stream, const qutlass_tensor* codes, int32_t element,
                              const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_codec("codes", codes, "out", out, element);
    const auto* bytes = static_cast<const uint8_t*>(codes->data);
    auto* values = static_cast<float*>(out->data);
    if (const auto* gpu = stream->device.operations) return gpu->decode(*stream, *codes, element, *out);
    stream->launch({bytes, values}, [=, count = element_count(*out)](Context& context) {
      const DecodeTable& table = decode_table(element);
      context.threads.parallel_for(count, kElementsPerPiece, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) values[i] = table[bytes[i]];
      });
    });
  });
}

}  // extern "C"
