// Matrix transpose.
#include <algorithm>

#include "check.h"
#include "dense_rows.h"
#include "device.h"
#include "numerics/quantized.h"
#include "steps.h"

namespace qutlass {
namespace {

// A tile of either matrix fits in the first-level cache, so each line is read and written once.
constexpr int64_t kTile = 32;

// Rows [begin, end) of out [rows, cols].
template <typename T>
void transpose_rows(const T* x, T* out, int64_t rows, int64_t cols, int64_t begin, int64_t end) {
  for (int64_t col = 0; col < cols; col += kTile) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = col; c < std::min(col + kTile, cols); ++c) out[r * cols + c] = x[c * rows + r];
    }
  }
}

template <typename T>
void transpose(ThreadPool& threads, const qutlass_tensor& x, const qutlass_tensor& out) {
  const int64_t rows = out.shape[0], cols = out.shape[1];
  threads.parallel_for(ceil_div(rows, kTile), rows_per_piece(kTile * cols), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      transpose_rows(static_cast<const T*>(x.data), static_cast<T*>(out.data), rows, cols, tile * kTile,
                     std::min((tile + 1) * kTile, rows));
    }
  });
}

}  // namespace

void transpose(Context& context, const qutlass_tensor& x, const qutlass_tensor& out) {
  switch (dtype_bytes(x.dtype)) {
    case 1: return transpose<uint8_t>(context.threads, x, out);
    case 2: return transpose<uint16_t>(context.threads, x, out);
    default: return transpose<uint32_t>(context.threads, x, out);
  }
}

}  // namespace qutlass

extern "C" qutlass_status qutlass_transpose(qutlass_stream* stream, const qutlass_tensor* x,
                                            const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("x", x);
    require_tensor("out", out, 2, {x->dtype});
    if (x->rank != 2) fail(QUTLASS_E_SHAPE, "x: expected rank 2, got shape %s", shape_text(*x).c_str());
    require_shape("out", *out, {x->shape[1], x->shape[0]});
    if (const auto* gpu = stream->device.operations) return gpu->transpose(*stream, *x, *out);
    stream->launch({x->data, out->data},
                   [x = *x, out = *out](Context& context) { transpose(context, x, out); });
  });
}
