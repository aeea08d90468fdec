// How elements become codes: to nearest, or with random numbers that depend on their place.
#pragma once

#include <cstdint>

#include "qutlass.h"

namespace qutlass {

// A copy to keep for later; to nearest for NULL. Throws unless the kind is one that exists.
qutlass_rounding require_rounding(const qutlass_rounding* rounding);

// The same with the counter, if there is one, in the draw. When the stream gets there.
qutlass_rounding counted(qutlass_rounding rounding);

// What the bits of a row of this many columns take: those of whole counters.
size_t random_bytes(int64_t cols);
// 16 random bits for each element of a row. The counter is in the draw.
void fill_random_bits(const qutlass_rounding& rounding, int64_t row, int64_t cols, uint16_t* bits);

}  // namespace qutlass
