// Where the parts of a quantized matrix lie, and what one element of it is worth.
#pragma once

#include <cstdint>

#include "numerics/dense.h"
#include "numerics/elements.h"
#include "numerics/host_device.h"
#include "qutlass.h"

namespace qutlass {

QUTLASS_HD constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

QUTLASS_HD inline int64_t group_rows(const qutlass_quantized& q) {
  return q.format.group_rows ? q.format.group_rows : q.rows;
}
QUTLASS_HD inline int64_t group_cols(const qutlass_quantized& q) {
  return q.format.group_cols ? q.format.group_cols : q.cols;
}
// Extent of the scales [R, G].
QUTLASS_HD inline int64_t scale_rows(const qutlass_quantized& q) { return ceil_div(q.rows, group_rows(q)); }
QUTLASS_HD inline int64_t scale_cols(const qutlass_quantized& q) { return ceil_div(q.cols, group_cols(q)); }

// Offset of scale (row, col) in the 128x4 blocked layout with `cols` scale columns (cuBLAS, CUTLASS).
QUTLASS_HD constexpr int64_t blocked_offset(int64_t row, int64_t col, int64_t cols) {
  const auto r = static_cast<uint64_t>(row), c = static_cast<uint64_t>(col);  // to be divided by shifts
  const uint64_t across = (static_cast<uint64_t>(cols) + 3) / 4;
  return static_cast<int64_t>(((r / 128) * across + c / 4) * 512 + (r % 32) * 16 + ((r % 128) / 32) * 4 +
                              c % 4);
}
QUTLASS_HD constexpr int64_t blocked_bytes(int64_t rows, int64_t cols) {
  return ceil_div(rows, 128) * ceil_div(cols, 4) * 512;
}

// Offset of the scale of group (row, col), both counted in groups.
QUTLASS_HD inline int64_t scale_offset(const qutlass_quantized& q, int64_t row, int64_t col) {
  return q.scale_layout == QUTLASS_SCALES_BLOCKED_128X4 ? blocked_offset(row, col, scale_cols(q))
                                                        : row * scale_cols(q) + col;
}

QUTLASS_HD inline float load_scale(const qutlass_quantized& q, int64_t offset) {
  switch (q.format.scale_dtype) {
    case QUTLASS_F8_E8M0: return decode_e8m0(static_cast<const uint8_t*>(q.scales)[offset]);
    case QUTLASS_F8_E4M3: return E4M3::decode(static_cast<const uint8_t*>(q.scales)[offset], false);
    default: return load_dense(q.scales, q.format.scale_dtype, offset);
  }
}

// The scale must be a value of the scale dtype already, or NaN.
QUTLASS_HD inline void store_scale(const qutlass_quantized& q, int64_t offset, float scale) {
  switch (q.format.scale_dtype) {
    case QUTLASS_F8_E8M0: static_cast<uint8_t*>(q.scales)[offset] = encode_e8m0(scale); break;
    case QUTLASS_F8_E4M3: static_cast<uint8_t*>(q.scales)[offset] = E4M3::encode(scale); break;
    default: store_dense(q.scales, q.format.scale_dtype, offset, scale);
  }
}

// Zero points are stored in row layout.
QUTLASS_HD inline int32_t load_zero_point(const qutlass_quantized& q, int64_t row, int64_t col) {
  if (!q.zero_points) return 0;
  const int64_t i = row * scale_cols(q) + col;
  return q.format.element == QUTLASS_INT8 ? static_cast<const int8_t*>(q.zero_points)[i]
                                          : static_cast<const uint8_t*>(q.zero_points)[i];
}

// Whether the value of a code is divided by *global_scale.
QUTLASS_HD constexpr bool has_global_scale(int32_t rule) {
  return rule == QUTLASS_RULE_MX_ABS_MAX || rule == QUTLASS_RULE_NV || rule == QUTLASS_RULE_NV_FOUR_SIX;
}

// Element (row, k) before the division by the global scale, exactly: a code has at most 8 significant bits.
inline double dequantize_element(const qutlass_quantized& q, int64_t row, int64_t k) {
  const uint8_t code = load_code(q.codes, element_storage_bits(q.format.element), row * q.cols + k);
  const int64_t r = row / group_rows(q), g = k / group_cols(q);
  const double value = static_cast<double>(decode_table(q.format.element)[code]) - load_zero_point(q, r, g);
  return value * static_cast<double>(load_scale(q, scale_offset(q, r, g)));
}

// Throws QUTLASS_E_FORMAT unless the format is one that exists.
void require_format(const char* name, const qutlass_format& format);
// Throws unless the format is one that exists and the parts are present. Pointers are not read.
void require_quantized(const char* name, const qutlass_quantized& q);

}  // namespace qutlass
