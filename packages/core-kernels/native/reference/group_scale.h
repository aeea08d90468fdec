// The scales and the codes of groups in memory.
#pragma once

#include <cstdint>

#include "numerics/group_scale.h"

namespace qutlass {

// The span of `count` elements.
GroupRange range_of(const float* x, int64_t count);

// The scale of `count` elements under any rule.
GroupScale group_scale(const qutlass_format& format, const float* x, int64_t count, float global_scale);

// One byte per code.
void encode_group(const qutlass_format& format, const GroupScale& scale, const float* x, int64_t count,
                  uint8_t* codes);

// Bit i of the mask: abs(x[i] / scale) < 6, the element is not clipped (QuEST). count is a multiple of 8.
void clip_mask_group(const GroupScale& scale, const float* x, int64_t count, uint8_t* mask);

}  // namespace qutlass
