#include "operand_reader.h"

#include <algorithm>

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
  group_ = operand.is_quantized ? group_cols(q) : cols_;
  group_rows_ = operand.is_quantized ? group_rows(q) : 1;
  groups_ = ceil_div(cols_, group_);
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
  constexpr float kOne = 1;
  primitives_.decode({dtype == QUTLASS_F8_E8M0 ? QUTLASS_E8M0 : QUTLASS_E4M3, bytes, 0, count, count, &kOne, nullptr},
                     out);
}

GroupedCodes OperandReader::codes(int64_t row, int64_t begin, int64_t end, GroupParts& parts) const {
  const qutlass_quantized& q = operand_.quantized;
  const int64_t bits = element_storage_bits(q.format.element);
  if (q.zero_points) {
    const int64_t first = begin / group_, count = ceil_div(end, group_) - first;
    for (int64_t i = 0; i < count; ++i) {
      parts.zeros[i] = static_cast<float>(load_zero_point(q, row / group_rows_, first + i));
    }
  }
  return {q.format.element, static_cast<const uint8_t*>(q.codes) + row * cols_ * bits / 8, begin, end, group_,
          parts.scales,     q.zero_points ? parts.zeros : nullptr};
}

const float* OperandReader::values(int64_t row, int64_t begin, int64_t end, float* buffer) const {
  if (operand_.is_quantized) {
    GroupParts parts;
    scales(row, begin / group_, ceil_div(end, group_), parts.scales);
    primitives_.decode(codes(row, begin, end, parts), buffer);
    return buffer;
  }
  const qutlass_tensor& x = operand_.dense;
  const int64_t offset = row * cols_ + begin;
  if (x.dtype == QUTLASS_F32) return static_cast<const float*>(x.data) + offset;
  primitives_.decode_dense(static_cast<const uint16_t*>(x.data) + offset, x.dtype, end - begin, buffer);
  return buffer;
}

void OperandReader::integers(int64_t row, int64_t begin, int64_t end, int16_t* out) const {
  GroupParts parts;
  primitives_.decode_integers(codes(row, begin, end, parts), out);
}

}  // namespace qutlass
