// Reads rows of an operand, dense or quantized, as the numbers that the kernels multiply.
#pragma once

#include <cstdint>

#include "primitives.h"
#include "qutlass.h"

namespace qutlass {

class OperandReader {
 public:
  // Elements that one call may ask for. Ranges begin at multiples of 32.
  static constexpr int64_t kMaxCount = 2048;

  OperandReader(const Primitives& primitives, const qutlass_operand& operand);

  int64_t rows() const { return rows_; }
  // Elements per group along a row; a dense row is one group.
  int64_t group() const { return group_; }

  // Elements [begin, end) of a row before the division by the global scale, as float32: in place where the
  // operand holds float32, else in `buffer`.
  const float* values(int64_t row, int64_t begin, int64_t end, float* buffer) const;
  // As values, codes less zero points of an integer format.
  void integers(int64_t row, int64_t begin, int64_t end, int16_t* out) const;
  // The scales of the groups [begin, end) of a row of a quantized operand.
  void scales(int64_t row, int64_t begin, int64_t end, float* out) const;
  // Fetches elements [begin, end) of a row, as far as they exist, to be read soon. Rows of a matrix lie so
  // far apart that hardware does not foresee the step from one to the next.
  void prefetch(int64_t row, int64_t begin, int64_t end) const;

 private:
  struct GroupParts;

  GroupedCodes codes(int64_t row, int64_t begin, int64_t end, GroupParts& parts) const;

  const Primitives& primitives_;
  const qutlass_operand& operand_;
  const uint8_t* data_;  // codes or dense elements
  int64_t bits_;         // of one element in memory
  int64_t rows_;
  int64_t cols_;
  int64_t group_;
  int32_t group_shift_;
  int64_t group_rows_;
  int64_t groups_;
};

}  // namespace qutlass
