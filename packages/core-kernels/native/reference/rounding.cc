#include "rounding.h"

#include "check.h"
#include "cpu/vectorized.h"
#include "numerics/quantized.h"
#include "numerics/stochastic.h"

namespace qutlass {

qutlass_rounding require_rounding(const qutlass_rounding* rounding) {
  if (!rounding) return {};
  if (rounding->kind != QUTLASS_ROUNDING_NEAREST && rounding->kind != QUTLASS_ROUNDING_STOCHASTIC) {
    fail(QUTLASS_E_ARGUMENT, "rounding.kind: expected 0 (nearest) or 1 (stochastic), got %d", rounding->kind);
  }
  return *rounding;
}

qutlass_rounding counted(qutlass_rounding rounding) {
  if (rounding.counter) rounding.draw += static_cast<uint32_t>(*rounding.counter);
  rounding.counter = nullptr;
  return rounding;
}

size_t random_bytes(int64_t cols) {
  return static_cast<size_t>(ceil_div(cols, kRandomColumns) * kRandomColumns) * sizeof(uint16_t);
}

void fill_random_bits(const qutlass_rounding& rounding, int64_t row, int64_t cols, uint16_t* bits) {
  vectorized([=, seed = rounding.seed, draw = rounding.draw] {
    for (int64_t col = 0; col < cols; col += kRandomColumns) {
      const auto words = philox(seed, rounding_counter(draw, row, col));
      for (int i = 0; i < kRandomColumns; ++i)
        bits[col + i] = static_cast<uint16_t>(words[static_cast<size_t>(i / 2)] >> (16 * (i % 2)));
    }
  });
}

}  // namespace qutlass
