#include "operand_reader.h"

#include <algorithm>
#include <bit>

#include "check.h"
#include "numerics/quantized.h"
#include "reference/matmul_problem.h"

namespace qutlass {
namespace {

constexpr int64_t kSmallestGroup = 16;
// A range may begin and end inside a group.
constexpr int64_t kMaxGroups = OperandReader::kMaxCount / kSmallestGroup + 1;

}  // namespace

struct OperandReader::GroupParts {
  float scales[kMaxGroups];
  float zeros[kMaxGroups];
};

OperandReader::OperandReader(const Primitives& primitives, const qutlass_operand& operand)
    : primitives_(primitives), operand_(operand), rows_(operand_rows(operand)), cols_(operand_cols(operand)) {
  const qutlass_quantized& q = operand.quantized;
  data_ = static_cast<const uint8_t*>(operand.is_quantized ? q.codes : operand.dense.data);
  bits_ =
      operand.is_quantized ? element_storage_bits(q.format.element) : 8 * dtype_bytes(operand.dense.dtype);
  group_ = operand.is_quantized ? group_cols(q) : cols_;
  group_rows_ = operand.is_quantized ? group_rows(q) : 1;
  groups_ = ceil_div(cols_, group_);
  // Groups along a row are powers of two, or the row.
  group_shift_ = groups_ == 1 ? GroupedCodes::kWholeRow : std::countr_zero(static_cast<uint64_t>(group_));
}

void OperandReader::scales(int64_t row, int64_t begin, int64_t end, float* out) const {
  const qutlass_quantized& q = operand_.quantized;
  const int64_t r = row / group_rows_, count = end - begin;
  const int32_t dtype = q.format.scale_dtype;
  const auto* data = static_cast<const uint8_t*>(q.scales);
  if (dtype_bytes(dtype) != 1) {
    primitives_.decode_dense(data + (r * groups_ + begin) * dtype_bytes(dtype), dtype, count, out);
    return;
  }
  uint8_t gathered[kMaxGroups];
  const uint8_t* bytes = data + r * groups_ + begin;
  if (q.scale_layout == QUTLASS_SCALES_BLOCKED_128X4) {
    for (int64_t i = 0; i < count; ++i) gathered[i] = data[blocked_offset(r, begin + i, groups_)];
    bytes = gathered;
  }
  // Scales of a byte are codes themselves.
  const int32_t element = dtype == QUTLASS_F8_E8M0 ? QUTLASS_E8M0 : QUTLASS_E4M3;
  constexpr float kOne = 1;
  primitives_.decode(
      {element, GroupedCodes::kWholeRow, bytes, 0, count, &kOne, nullptr, decode_table(element).data()}, out);
}

GroupedCodes OperandReader::codes(int64_t row, int64_t begin, int64_t end, GroupParts& parts) const {
  const qutlass_quantized& q = operand_.quantized;
  if (q.zero_points) {
    const int64_t first = begin / group_, count = ceil_div(end, group_) - first;
    for (int64_t i = 0; i < count; ++i) {
      parts.zeros[i] = static_cast<float>(load_zero_point(q, row / group_rows_, first + i));
    }
  }
  return {q.format.element,
          group_shift_,
          data_ + row * cols_ * bits_ / 8,
          begin,
          end,
          parts.scales,
          q.zero_points ? parts.zeros : nullptr,
          decode_table(q.format.element).data()};
}

const float* OperandReader::values(int64_t row, int64_t begin, int64_t end, float* buffer) const {
  if (operand_.is_quantized) {
    GroupParts parts;
    scales(row, begin / group_, ceil_div(end, group_), parts.scales);
    primitives_.decode(codes(row, begin, end, parts), buffer);
    return buffer;
  }
  const uint8_t* elements = data_ + (row * cols_ + begin) * bits_ / 8;
  if (operand_.dense.dtype == QUTLASS_F32) return reinterpret_cast<const float*>(elements);
  primitives_.decode_dense(elements, operand_.dense.dtype, end - begin, buffer);
  return buffer;
}

void OperandReader::integers(int64_t row, int64_t begin, int64_t end, int16_t* out) const {
  GroupParts parts;
  primitives_.decode_integers(codes(row, begin, end, parts), out);
}

void OperandReader::prefetch(int64_t row, int64_t begin, int64_t end) const {
  constexpr int64_t kLine = 64;
  if (row >= rows_) return;
  const uint8_t* elements = data_ + row * cols_ * bits_ / 8;
  const int64_t last = std::min(end, cols_) * bits_ / 8;
  for (int64_t at = begin * bits_ / 8; at < last; at += kLine) __builtin_prefetch(elements + at);
}

}  // namespace qutlass
