#include "group_scale.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "numerics/dense.h"
#include "numerics/elements.h"

namespace qutlass {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// floor(log2 x) + 127 of x >= 0, from the exponent field; 0 for subnormal numbers.
int32_t biased_exponent(float x) { return static_cast<int32_t>(std::bit_cast<uint32_t>(x) >> 23); }

float largest_element(int32_t element) {
  switch (element) {
    case QUTLASS_E2M1: return 6;
    case QUTLASS_E4M3: return 448;
    case QUTLASS_E5M2: return 57344;
    case QUTLASS_INT8: return 127;
    case QUTLASS_INT4: return 7;
    default: return 1;  // NF4
  }
}

// ---- MX: e8m0 scales. Dividing by a power of two is exact, so one multiplication equals x / scale *
// global_scale.

GroupScale mx_scale(int32_t byte, float global_scale) {
  const float scale = decode_e8m0(static_cast<uint8_t>(std::clamp(byte, 0, 254)));
  return {scale, global_scale / scale, 0};
}

// OCP MX 1.0, section 6.3. Zeros: byte 0.
GroupScale mx_floor(int32_t element, float amax) {
  const int32_t emax = biased_exponent(largest_element(element)) - 127;
  return mx_scale(biased_exponent(amax) - emax, 1);
}

// NVIDIA's rounding up: the smallest power of two with no element beyond the largest code. Zeros: byte 0.
GroupScale mx_rceil(int32_t element, float amax) {
  const uint32_t bits = std::bit_cast<uint32_t>(amax / largest_element(element));
  return mx_scale(static_cast<int32_t>((bits + 0x7FFFFFu) >> 23), 1);
}

// QuTLASS: elements below 2 * scale, times 3, fill the range up to 6. Zeros: byte 100.
GroupScale mx_abs_max(float amax, float global_scale) {
  return mx_scale(biased_exponent(amax + 1e-8f), global_scale);
}

// QuEST: the step of the grid that has the smallest error for a normal distribution of this standard
// deviation. Zeros: byte 100.
GroupScale mx_quest(const float* x, int64_t count) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double value = x[i];
    sum += value;
    squares += value * value;
  }
  const double mean = sum / static_cast<double>(count);
  const double variance = std::max(0.0, squares / static_cast<double>(count) - mean * mean);
  return mx_scale(biased_exponent(static_cast<float>(std::sqrt(variance) * (2.92247856 / 6) + 1e-8)), 1);
}

// ---- NVFP4: e4m3 scales under a global scale.

// target: the magnitude that becomes 1 after the division by the stored scale. A group whose scale rounds to
// 0 has codes 0.
GroupScale nv_scale(float target, float global_scale) {
  const float scale = E4M3::decode(E4M3::encode(global_scale * target), false);
  return {scale, scale > 0 ? std::min(global_scale / scale, FLT_MAX) : 0.0f, 0};
}

double nv_squared_error(const GroupScale& scale, const float* x, int64_t count, float global_scale) {
  const double unit = static_cast<double>(scale.scale) / static_cast<double>(global_scale);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float value = E2M1::decode(E2M1::encode(x[i] * scale.multiplier), false);
    const double error = static_cast<double>(x[i]) - static_cast<double>(value) * unit;
    sum += error * error;
  }
  return sum;
}

// Four over six (Cook et al. 2025): e2m1 has no value between 4 and 6, so for some groups it is better to map
// the largest element to 4. Equal errors keep 6.
GroupScale nv_four_six(const float* x, int64_t count, float amax, float global_scale) {
  const GroupScale six = nv_scale(amax / 6, global_scale), four = nv_scale(amax / 4, global_scale);
  return nv_squared_error(four, x, count, global_scale) < nv_squared_error(six, x, count, global_scale) ? four
                                                                                                        : six;
}

// ---- AMAX: scales in a floating-point dtype.

// The nearest scale of the dtype that can be used: one too large becomes the largest, and one whose
// reciprocal is not finite, 0 among them, the smallest power of two that has a reciprocal. Codes are computed
// from the stored scale.
GroupScale amax_scale(int32_t scale_dtype, float exact) {
  float scale = exact, smallest = 0x1p-127f;
  if (scale_dtype == QUTLASS_BF16) {
    scale = std::min(bf16_to_f32(f32_to_bf16(exact)), bf16_to_f32(0x7F7F));
  } else if (scale_dtype == QUTLASS_F16) {
    scale = std::min(f16_to_f32(f32_to_f16(exact)), f16_to_f32(0x7BFF));
    smallest = 0x1p-24f;
  }
  if (!std::isfinite(1 / scale)) scale = smallest;
  return {scale, 1 / scale, 0};
}

GroupScale symmetric_scale(const qutlass_format& format, float amax) {
  return amax_scale(format.scale_dtype, amax > 0 ? amax / largest_element(format.element) : 1);
}

// The lowest element becomes the lowest code, -128 or 0. Zeros: scale 1, zero point 0.
GroupScale asymmetric_scale(const qutlass_format& format, float low, float high) {
  if (low == high) return {1, 1, 0};
  const int32_t lowest = format.element == QUTLASS_INT8 ? -128 : 0;
  const int32_t steps = format.element == QUTLASS_INT8 ? 255 : 15;
  const auto divisor = static_cast<float>(steps);
  float step = (high - low) / divisor;
  if (!std::isfinite(step)) step = high / divisor - low / divisor;
  GroupScale scale = amax_scale(format.scale_dtype, step);
  scale.zero_point = lowest + encode_integer(-low * scale.multiplier, 0, steps);
  return scale;
}

bool is_usable(const GroupRange& range, float global_scale) {
  return range.finite && global_scale > 0 && global_scale <= FLT_MAX;
}

}  // namespace

// On the bits, because a maximum of integers becomes vector code: as signed integers positive floats are
// ordered by magnitude above all negative ones, as unsigned integers negative floats are above all positive
// ones. Infinities and NaN lie beyond the finite numbers in both.
void GroupRange::add(const float* x, int64_t count) {
  int32_t highest = 0;
  uint32_t lowest = 0x80000000u;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(x[i]);
    highest = std::max(highest, static_cast<int32_t>(bits));
    lowest = std::max(lowest, bits);
  }
  add(GroupRange{std::bit_cast<float>(lowest), std::bit_cast<float>(highest),
                 highest < 0x7F800000 && lowest < 0xFF800000u});
}

void GroupRange::add(const GroupRange& other) {
  low = std::min(low, other.low);
  high = std::max(high, other.high);
  finite &= other.finite;
}

GroupScale scale_from_range(const qutlass_format& format, const GroupRange& range, float global_scale) {
  if (!is_usable(range, global_scale)) return {kNaN, 0, 0};
  switch (format.rule) {
    case QUTLASS_RULE_MX_FLOOR: return mx_floor(format.element, range.amax());
    case QUTLASS_RULE_MX_RCEIL: return mx_rceil(format.element, range.amax());
    case QUTLASS_RULE_MX_ABS_MAX: return mx_abs_max(range.amax(), global_scale);
    case QUTLASS_RULE_NV: return nv_scale(range.amax() / 6, global_scale);
    default:
      return format.zero_point ? asymmetric_scale(format, range.low, range.high)
                               : symmetric_scale(format, range.amax());
  }
}

GroupScale group_scale(const qutlass_format& format, const float* x, int64_t count, float global_scale) {
  GroupRange range;
  range.add(x, count);
  if (is_usable(range, global_scale)) {
    if (format.rule == QUTLASS_RULE_MX_QUEST) return mx_quest(x, count);
    if (format.rule == QUTLASS_RULE_NV_FOUR_SIX) return nv_four_six(x, count, range.amax(), global_scale);
  }
  return scale_from_range(format, range, global_scale);
}

void encode_group(const qutlass_format& format, const GroupScale& scale, const float* x, int64_t count,
                  uint8_t* codes) {
  if (std::isnan(scale.scale)) {
    std::memset(codes, 0, static_cast<size_t>(count));
    return;
  }
  // By value: a byte that is written could change whatever is reached through a reference.
  const auto each = [=, multiplier = scale.multiplier](const auto& encode) {
    for (int64_t i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(encode(x[i] * multiplier));
  };
  // rint + zero point, clamped to [low, high]
  const auto integer = [&](int32_t low, int32_t high) {
    const int32_t zero = scale.zero_point;
    each([=](float v) { return encode_integer(v, low - zero, high - zero) + zero; });
  };
  switch (format.element) {
    case QUTLASS_E2M1: return each([](float v) { return E2M1::encode(v); });
    case QUTLASS_E4M3: return each([](float v) { return E4M3::encode(v); });
    case QUTLASS_E5M2: return each([](float v) { return E5M2::encode(v); });
    case QUTLASS_INT8: return integer(format.zero_point ? -128 : -127, 127);
    case QUTLASS_INT4: return integer(-8, 7);
    case QUTLASS_UINT4: return integer(0, 15);
    default: return each([](float v) { return encode_nf4(v); });
  }
}

void clip_mask_group(const GroupScale& scale, const float* x, int64_t count, uint8_t* mask) {
  std::memset(mask, 0, static_cast<size_t>(count / 8));
  if (std::isnan(scale.scale)) return;
  for (int64_t i = 0; i < count; ++i) {
    if (std::fabs(x[i] * scale.multiplier) < 6)
      mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | 1 << (i % 8));
  }
}

}  // namespace qutlass
