// The scale of one group of elements, for every rule, and the codes that follow from it.
#pragma once

#include <cfloat>
#include <cstdint>

#include "qutlass.h"

namespace qutlass {

// The span of the elements of a group. It includes 0, as every range of codes does.
struct GroupRange {
  float low = 0;
  float high = 0;
  bool finite = true;  // no NaN and no infinity

  void add(const float* x, int64_t count);
  void add(const GroupRange& other);
  float amax() const { return high < -low ? -low : high; }  // never -0
};

struct GroupScale {
  float scale;         // a value of the scale dtype, or NaN
  float multiplier;    // what elements are multiplied with before rounding
  int32_t zero_point;  // what is added to the code
};

// The scale from the range alone, which is enough for all rules but MX_QUEST and NV_FOUR_SIX. A group with a
// NaN or an infinity, and every group under a global scale that is not a positive number, gets the scale NaN
// and codes 0: the damage stays in the group, is seen in the output, and never turns into finite numbers.
GroupScale scale_from_range(const qutlass_format& format, const GroupRange& range, float global_scale);

// The scale of `count` elements under any rule.
GroupScale group_scale(const qutlass_format& format, const float* x, int64_t count, float global_scale);

// One byte per code.
void encode_group(const qutlass_format& format, const GroupScale& scale, const float* x, int64_t count,
                  uint8_t* codes);

// Bit i of the mask: abs(x[i] / scale) < 6, the element is not clipped (QuEST). count is a multiple of 8.
void clip_mask_group(const GroupScale& scale, const float* x, int64_t count, uint8_t* mask);

}  // namespace qutlass
