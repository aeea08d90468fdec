#include "group_scale.h"

#include <cstring>

namespace qutlass {
namespace {

GroupScale quest_scale(const float* x, int64_t count) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double value = x[i];
    sum += value;
    squares += value * value;
  }
  return mx_quest(sum, squares, count);
}

GroupScale four_six_scale(const float* x, int64_t count, float amax, float global_scale) {
  const FourSix candidates(amax, global_scale);
  double six = 0, four = 0;
  for (int64_t i = 0; i < count; ++i) {
    six += candidates.six.squared_error(x[i]);
    four += candidates.four.squared_error(x[i]);
  }
  return candidates.choose(six, four);
}

}  // namespace

GroupRange range_of(const float* x, int64_t count) {
  GroupRange range;
  for (int64_t i = 0; i < count; ++i) range.add(x[i]);
  return range;
}

GroupScale group_scale(const qutlass_format& format, const float* x, int64_t count, float global_scale) {
  const GroupRange range = range_of(x, count);
  if (is_usable(range, global_scale)) {
    if (format.rule == QUTLASS_RULE_MX_QUEST) return quest_scale(x, count);
    if (format.rule == QUTLASS_RULE_NV_FOUR_SIX) return four_six_scale(x, count, range.amax(), global_scale);
  }
  return scale_from_range(format, range, global_scale);
}

void encode_group(const qutlass_format& format, const GroupScale& scale, const float* x, int64_t count,
                  uint8_t* codes) {
  if (scale.is_nan()) {
    std::memset(codes, 0, static_cast<size_t>(count));
    return;
  }
  with_encoder(format, scale, [=, multiplier = scale.multiplier](const auto& encode) {
    // By value: a byte that is written could change whatever is reached through a reference.
    const auto local = encode;
    for (int64_t i = 0; i < count; ++i) codes[i] = local(x[i] * multiplier);
  });
}

void clip_mask_group(const GroupScale& scale, const float* x, int64_t count, uint8_t* mask) {
  std::memset(mask, 0, static_cast<size_t>(count / 8));
  if (scale.is_nan()) return;
  for (int64_t i = 0; i < count; ++i) {
    if (is_unclipped(x[i] * scale.multiplier)) mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | 1 << (i % 8));
  }
}

}  // namespace qutlass
