// The scales and the codes of groups in memory.
#pragma once

#include <cstdint>
#include <cstring>

#include "numerics/group_scale.h"

namespace qutlass {

// The span of `count` elements.
[[gnu::always_inline]] inline GroupRange range_of(const float* x, int64_t count) {
  GroupRange range;
  // A loop of few steps would be unrolled before it could become vector code.
#pragma GCC unroll 1
  for (int64_t i = 0; i < count; ++i) range.add(x[i]);
  return range;
}

inline GroupScale quest_scale(const float* x, int64_t count) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double value = x[i];
    sum += value;
    squares += value * value;
  }
  return mx_quest(sum, squares, count);
}

inline GroupScale four_six_scale(const float* x, int64_t count, float amax, float global_scale) {
  const FourSix candidates(amax, global_scale);
  double six = 0, four = 0;
  for (int64_t i = 0; i < count; ++i) {
    six += candidates.six.squared_error(x[i]);
    four += candidates.four.squared_error(x[i]);
  }
  return candidates.choose(six, four);
}

// The scale of `count` elements under any rule.
[[gnu::always_inline]] inline GroupScale group_scale(const qutlass_format& format, const float* x,
                                                     int64_t count, float global_scale) {
  const GroupRange range = range_of(x, count);
  if (is_usable(range, global_scale)) {
    if (format.rule == QUTLASS_RULE_MX_QUEST) return quest_scale(x, count);
    if (format.rule == QUTLASS_RULE_NV_FOUR_SIX) return four_six_scale(x, count, range.amax(), global_scale);
  }
  return scale_from_range(format, range, global_scale);
}

// One byte per code. random: 16 bits for each element, to round stochastically with; none: to nearest.
template <typename... Random>
[[gnu::always_inline]] inline void encode_group(const qutlass_format& format, const GroupScale& scale,
                                                const float* __restrict x, int64_t count,
                                                uint8_t* __restrict codes,
                                                const Random* __restrict... random) {
  if (scale.is_nan()) {
    std::memset(codes, 0, static_cast<size_t>(count));
    return;
  }
  with_encoder(format, scale, [=, multiplier = scale.multiplier](const auto& encode) {
    // By value: a byte that is written could change whatever is reached through a reference.
    const auto local = encode;
#pragma GCC unroll 1
    for (int64_t i = 0; i < count; ++i) codes[i] = local(x[i] * multiplier, uint32_t{random[i]}...);
  });
}

// Bit i of the mask: abs(x[i] / scale) < 6, the element is not clipped (QuEST). count is a multiple of 8.
[[gnu::always_inline]] inline void clip_mask_group(const GroupScale& scale, const float* x, int64_t count,
                                                   uint8_t* mask) {
  for (int64_t i = 0; i < count; i += 8) {
    uint32_t bits = 0;
    for (int bit = 0; bit < 8; ++bit) {
      bits |= static_cast<uint32_t>(!scale.is_nan() && is_unclipped(x[i + bit] * scale.multiplier)) << bit;
    }
    mask[i / 8] = static_cast<uint8_t>(bits);
  }
}

}  // namespace qutlass
