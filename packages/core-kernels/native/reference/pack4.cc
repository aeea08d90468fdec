// Codes of 4 bits, a byte each, to two per byte, and back.
#include <algorithm>

#include "check.h"
#include "dense_rows.h"
#include "device.h"
#include "numerics/elements.h"

namespace qutlass {
namespace {

// codes [.., K] and packed [.., K / 2].
void require_packing(const char* codes_name, const qutlass_tensor& codes, const char* packed_name,
                     const qutlass_tensor& packed) {
  const int32_t last = codes.rank - 1;
  if (packed.rank != codes.rank || !std::equal(codes.shape, codes.shape + last, packed.shape) ||
      codes.shape[last] % 2 != 0 || packed.shape[last] != codes.shape[last] / 2) {
    fail(QUTLASS_E_SHAPE, "%s: expected [.., K / 2] for %s [.., K] with an even K, got shapes %s and %s",
         packed_name, codes_name, shape_text(packed).c_str(), shape_text(codes).c_str());
  }
}

}  // namespace
}  // namespace qutlass

extern "C" {

qutlass_status qutlass_pack4(qutlass_stream* stream, const qutlass_tensor* codes, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("codes", codes, -1, {QUTLASS_U8, QUTLASS_I8});
    require_tensor("out", out, -1, {QUTLASS_U8});
    require_packing("codes", *codes, "out", *out);
    const auto* source = static_cast<const uint8_t*>(codes->data);
    auto* packed = static_cast<uint8_t*>(out->data);
    if (const auto* gpu = stream->device.operations) return gpu->pack4(*stream, *codes, *out);
    stream->launch({source, packed}, [=, bytes = element_count(*out)](Context& context) {
      context.threads.parallel_for(bytes, kElementsPerPiece, [&](int64_t begin, int64_t end) {
        pack_nibbles(source + 2 * begin, end - begin, packed + begin);
      });
    });
  });
}

qutlass_status qutlass_unpack4(qutlass_stream* stream, const qutlass_tensor* packed, int32_t sign_extend,
                               const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("packed", packed, -1, {QUTLASS_U8});
    if (sign_extend) {
      require_tensor("out", out, -1, {QUTLASS_I8});
    } else {
      require_tensor("out", out, -1, {QUTLASS_U8, QUTLASS_I8});
    }
    require_packing("out", *out, "packed", *packed);
    const auto* source = static_cast<const uint8_t*>(packed->data);
    auto* codes = static_cast<uint8_t*>(out->data);
    if (const auto* gpu = stream->device.operations)
      return gpu->unpack4(*stream, *packed, sign_extend != 0, *out);
    stream->launch({source, codes}, [=, bytes = element_count(*packed)](Context& context) {
      // Flipping the sign bit and subtracting its weight copies it into the upper half.
      const int32_t sign = sign_extend ? 8 : 0;
      context.threads.parallel_for(bytes, kElementsPerPiece, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          codes[2 * i] = static_cast<uint8_t>(((source[i] & 15) ^ sign) - sign);
          codes[2 * i + 1] = static_cast<uint8_t>(((source[i] >> 4) ^ sign) - sign);
        }
      });
    });
  });
}

}  // extern "C"
