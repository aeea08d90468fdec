// The decoding loops that decode_avx2.cc lends to the table in primitives_avx2.cc.
#pragma once

#include <cstdint>

#include "primitives.h"

namespace qutlass::avx2 {

void decode(const GroupedCodes& codes, float* out);
void decode_integers(const GroupedCodes& codes, int16_t* out);
void decode_dense(const void* data, int32_t dtype, int64_t count, float* out);

}  // namespace qutlass::avx2
