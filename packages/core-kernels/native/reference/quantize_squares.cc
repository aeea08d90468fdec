// MXFP8 with one scale for each square of 32 x 32, written for groups of rows and for groups of columns.
#include <cstring>

#include "check.h"
#include "cpu/vectorized.h"
#include "dense_rows.h"
#include "device.h"
#include "group_scale.h"
#include "numerics/quantized.h"
#include "rounding.h"

namespace qutlass {
namespace {

constexpr int64_t kSide = 32;

// What the scales of groups of columns belong to: a matrix whose codes are not there.
qutlass_quantized columns_of(const qutlass_quantized& out, void* scales) {
  qutlass_quantized columns = out;
  columns.rows = out.cols;
  columns.cols = out.rows;
  columns.codes = nullptr;
  columns.scales = scales;
  return columns;
}

void clear_padding(const qutlass_quantized& out) {
  if (out.scale_layout != QUTLASS_SCALES_BLOCKED_128X4) return;
  std::memset(out.scales, 0, static_cast<size_t>(blocked_bytes(scale_rows(out), scale_cols(out))));
}

// The squares of rows [row, row + kSide), whose elements are x [kSide, cols]. random: as for encode_group.
template <typename... Random>
void quantize_band(const qutlass_quantized& out, const qutlass_quantized& columns, int64_t row,
                   const float* x, const Random*... random) {
  vectorized([=, out = out, columns = columns] {
    auto* codes = static_cast<uint8_t*>(out.codes) + row * out.cols;
    for (int64_t col = 0; col < out.cols; col += kSide) {
      GroupRange range;
      for (int64_t at = col; at < kSide * out.cols; at += out.cols) range.add(range_of(x + at, kSide));
      const GroupScale scale = scale_from_range(out.format, range, 1);
      for (int64_t i = 0; i < kSide; ++i) {
        const int64_t at = i * out.cols + col;
        encode_group(out.format, scale, x + at, kSide, codes + at, (random + at)...);
        store_group_scale(out, row + i, col / kSide, scale);
        store_group_scale(columns, col + i, row / kSide, scale);
      }
    }
  });
}

void quantize_squares(Context& context, const qutlass_tensor& x, const qutlass_rounding& rounding,
                      const qutlass_quantized& out, const qutlass_quantized& columns) {
  clear_padding(out);
  clear_padding(columns);
  const int64_t cols = out.cols, elements = kSide * cols;
  const bool stochastic = rounding.kind == QUTLASS_ROUNDING_STOCHASTIC;
  const qutlass_rounding draws = counted(rounding);
  context.threads.parallel_for(out.rows / kSide, rows_per_piece(elements), [&](int64_t begin, int64_t end) {
    const Scratch decoded(context.memory, static_cast<size_t>(elements) * sizeof(float));
    const Scratch random(context.memory, stochastic ? random_bytes(elements) : 0);
    auto* bits = random.as<uint16_t>();
    for (int64_t row = begin * kSide; row < end * kSide; row += kSide) {
      const float* values = load_row(x, row * cols, elements, decoded.as<float>());
      if (!stochastic) {
        quantize_band(out, columns, row, values);
        continue;
      }
      for (int64_t i = 0; i < kSide; ++i) fill_random_bits(draws, row + i, cols, bits + i * cols);
      quantize_band(out, columns, row, values, static_cast<const uint16_t*>(bits));
    }
  });
}

}  // namespace
}  // namespace qutlass

extern "C" qutlass_status qutlass_quantize_squares(qutlass_stream* stream, const qutlass_tensor* x,
                                                   const qutlass_rounding* rounding,
                                                   const qutlass_quantized* out,
                                                   const qutlass_tensor* column_scales) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    if (!out) fail(QUTLASS_E_ARGUMENT, "out: expected a quantized matrix, got NULL");
    require_quantized("out", *out);
    const qutlass_format& format = out->format;
    if (format.element == QUTLASS_E2M1 || format.scale_dtype != QUTLASS_F8_E8M0) {
      fail(QUTLASS_E_FORMAT, "out: expected a format of mxfp8, got element %d under scales in %s",
           format.element, dtype_name(format.scale_dtype));
    }
    require_float_tensor("x", x, 2);
    require_shape("x", *x, {out->rows, out->cols});
    if (out->rows % kSide != 0) {
      fail(QUTLASS_E_SHAPE, "x: expected rows in whole squares of 32 x 32, got shape %s",
           shape_text(*x).c_str());
    }
    require_tensor("column_scales", column_scales, -1, {QUTLASS_F8_E8M0});
    const qutlass_quantized columns = columns_of(*out, column_scales->data);
    if (columns.scale_layout == QUTLASS_SCALES_ROW) {
      require_shape("column_scales", *column_scales, {columns.rows, scale_cols(columns)});
    } else {
      require_shape("column_scales", *column_scales, {blocked_bytes(columns.rows, scale_cols(columns))});
    }
    const qutlass_rounding draws = require_rounding(rounding);
    if (const auto* gpu = stream->device.operations)
      return gpu->quantize_squares(*stream, *x, draws, *out, columns.scales);
    stream->launch(
        {x->data, draws.counter, out->codes, out->scales, columns.scales},
        [=, x = *x, out = *out](Context& context) { quantize_squares(context, x, draws, out, columns); });
  });
}
