// Copies of whole rows and of the corner of a matrix.
#include <algorithm>
#include <cstring>

#include "check.h"
#include "dense_rows.h"
#include "device.h"

namespace qutlass {
namespace {

// Elements of one index of the first dimension.
int64_t row_elements(const qutlass_tensor& tensor) { return element_count(tensor) / tensor.shape[0]; }

// Rows [row, row + part.shape[0]) lie in whole, and both have the same dtype and the same rows.
void require_row_range(const char* part_name, const qutlass_tensor* part, const char* whole_name,
                       const qutlass_tensor* whole, int64_t row) {
  require_tensor(whole_name, whole);
  require_tensor(part_name, part, whole->rank, {whole->dtype});
  if (!std::equal(part->shape + 1, part->shape + part->rank, whole->shape + 1)) {
    fail(QUTLASS_E_SHAPE, "%s: expected rows as in %s %s, got shape %s", part_name, whole_name,
         shape_text(*whole).c_str(), shape_text(*part).c_str());
  }
  if (row < 0 || part->shape[0] > whole->shape[0] || row > whole->shape[0] - part->shape[0]) {
    fail(QUTLASS_E_SHAPE, "row: expected %lld rows from it to lie in %s %s, got %lld",
         static_cast<long long>(part->shape[0]), whole_name, shape_text(*whole).c_str(),
         static_cast<long long>(row));
  }
}

void launch_copy(qutlass_stream* stream, const void* from, void* to, int64_t bytes) {
  if (const auto* gpu = stream->device.operations) return gpu->copy(*stream, from, to, bytes);
  stream->launch({from, to}, [=](Context& context) {
    constexpr int64_t kPiece = 1 << 18;
    context.threads.parallel_for(bytes, kPiece, [&](int64_t begin, int64_t end) {
      std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                  static_cast<size_t>(end - begin));
    });
  });
}

}  // namespace
}  // namespace qutlass

extern "C" {

qutlass_status qutlass_copy_rows(qutlass_stream* stream, const qutlass_tensor* x, const qutlass_tensor* out,
                                 int64_t row) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_row_range("x", x, "out", out, row);
    const int64_t row_bytes = row_elements(*x) * dtype_bytes(x->dtype);
    launch_copy(stream, x->data, static_cast<char*>(out->data) + row * row_bytes, x->shape[0] * row_bytes);
  });
}

qutlass_status qutlass_slice_rows(qutlass_stream* stream, const qutlass_tensor* x, int64_t row,
                                  const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_row_range("out", out, "x", x, row);
    const int64_t row_bytes = row_elements(*x) * dtype_bytes(x->dtype);
    launch_copy(stream, static_cast<const char*>(x->data) + row * row_bytes, out->data,
                out->shape[0] * row_bytes);
  });
}

qutlass_status qutlass_pad(qutlass_stream* stream, const qutlass_tensor* x, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("x", x);
    require_tensor("out", out, 2, {x->dtype});
    if (x->rank != 2) fail(QUTLASS_E_SHAPE, "x: expected rank 2, got shape %s", shape_text(*x).c_str());
    if (const auto* gpu = stream->device.operations) return gpu->pad(*stream, *x, *out);
    stream->launch({x->data, out->data}, [x = *x, out = *out](Context& context) {
      const int64_t bytes = dtype_bytes(x.dtype);
      const int64_t x_row = x.shape[1] * bytes, out_row = out.shape[1] * bytes;
      context.threads.parallel_for(
          out.shape[0], rows_per_piece(out.shape[1]), [&](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
              const int64_t kept = row < x.shape[0] ? std::min(x_row, out_row) : 0;
              char* target = static_cast<char*>(out.data) + row * out_row;
              std::memcpy(target, static_cast<const char*>(x.data) + (kept ? row * x_row : 0),
                          static_cast<size_t>(kept));
              std::memset(target + kept, 0, static_cast<size_t>(out_row - kept));
            }
          });
    });
  });
}

}  // extern "C"
