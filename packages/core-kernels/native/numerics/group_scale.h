// The scale of one group of elements, for every rule, and the codes that follow from it.
#pragma once

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>

#include "numerics/dense.h"
#include "numerics/elements.h"
#include "numerics/host_device.h"
#include "numerics/quantized.h"
#include "numerics/stochastic.h"
#include "qutlass.h"

namespace qutlass {

inline constexpr float kNaNScale = std::bit_cast<float>(0x7FC00000u);

// The span of the elements of a group. It includes 0, as every range of codes does.
//
// On the bits, because a maximum of integers becomes vector code: as signed integers positive floats are
// ordered by magnitude above all negative ones, as unsigned integers negative floats are above all positive
// ones. Infinities and NaN lie beyond the finite numbers in both.
struct GroupRange {
  int32_t highest = 0;
  uint32_t lowest = 0x80000000u;

  QUTLASS_HD void add(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    highest = std::max(highest, static_cast<int32_t>(bits));
    lowest = std::max(lowest, bits);
  }
  QUTLASS_HD void add(const GroupRange& other) {
    highest = std::max(highest, other.highest);
    lowest = std::max(lowest, other.lowest);
  }
  QUTLASS_HD float low() const { return std::bit_cast<float>(lowest); }
  QUTLASS_HD float high() const { return std::bit_cast<float>(highest); }
  QUTLASS_HD float amax() const { return high() < -low() ? -low() : high(); }  // never -0
  // No NaN and no infinity.
  QUTLASS_HD bool finite() const { return highest < 0x7F800000 && lowest < 0xFF800000u; }
};

struct GroupScale {
  float scale;         // a value of the scale dtype, or NaN
  float multiplier;    // what elements are multiplied with before rounding
  int32_t zero_point;  // what is added to the code

  QUTLASS_HD bool is_nan() const { return scale != scale; }
};

// floor(log2 x) + 127 of x >= 0, from the exponent field; 0 for subnormal numbers.
QUTLASS_HD inline int32_t biased_exponent(float x) {
  return static_cast<int32_t>(std::bit_cast<uint32_t>(x) >> 23);
}

QUTLASS_HD inline float largest_element(int32_t element) {
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

QUTLASS_HD inline GroupScale mx_scale(int32_t byte, float global_scale) {
  const int32_t clamped = std::clamp(byte, 0, 254);
  // 2^(byte - 127), subnormal in float32 for 0.
  const auto power = [](int32_t exponent) {
    return std::bit_cast<float>(std::max(static_cast<uint32_t>(exponent) << 23, 0x00400000u));
  };
  return {power(clamped), global_scale * power(254 - clamped), 0};
}

// OCP MX 1.0, section 6.3. Zeros: byte 0.
QUTLASS_HD inline GroupScale mx_floor(int32_t element, float amax) {
  const int32_t emax = biased_exponent(largest_element(element)) - 127;
  return mx_scale(biased_exponent(amax) - emax, 1);
}

// NVIDIA's rounding up: the smallest power of two with no element beyond the largest code. Zeros: byte 0.
QUTLASS_HD inline GroupScale mx_rceil(int32_t element, float amax) {
  const uint32_t bits = std::bit_cast<uint32_t>(amax / largest_element(element));
  return mx_scale(static_cast<int32_t>((bits + 0x7FFFFFu) >> 23), 1);
}

// QuTLASS: elements below 2 * scale, times 3, fill the range up to 6. Zeros: byte 100.
QUTLASS_HD inline GroupScale mx_abs_max(float amax, float global_scale) {
  return mx_scale(biased_exponent(amax + 1e-8f), global_scale);
}

// QuEST: the step of the grid that has the smallest error for a normal distribution of this standard
// deviation. From the sums of the elements and of their squares. Zeros: byte 100.
QUTLASS_HD inline GroupScale mx_quest(double sum, double squares, int64_t count) {
  const double mean = sum / static_cast<double>(count);
  const double variance = std::max(0.0, squares / static_cast<double>(count) - mean * mean);
  return mx_scale(biased_exponent(static_cast<float>(std::sqrt(variance) * (2.92247856 / 6) + 1e-8)), 1);
}

// ---- NVFP4: e4m3 scales under a global scale.

// target: the magnitude that becomes 1 after the division by the stored scale. A group whose scale rounds to
// 0 has codes 0.
QUTLASS_HD inline GroupScale nv_scale(float target, float global_scale) {
  const float scale = E4M3::decode(E4M3::encode(global_scale * target), false);
  return {scale, scale > 0 ? std::min(global_scale / scale, FLT_MAX) : 0.0f, 0};
}

// Four over six (Cook et al. 2025): e2m1 has no value between 4 and 6, so for some groups it is better to map
// the largest element to 4. The candidate with the smaller sum of squared errors wins; equal errors keep 6.
// Sums run through the elements in order, so that ties are the same wherever they are computed.
struct FourSix {
  struct Candidate {
    GroupScale scale;
    double unit;  // what a code of 1 is worth

    QUTLASS_HD Candidate(float target, float global_scale)
        : scale(nv_scale(target, global_scale)),
          unit(static_cast<double>(scale.scale) / static_cast<double>(global_scale)) {}
    QUTLASS_HD double squared_error(float x) const {
      const float value = E2M1::decode(E2M1::encode(x * scale.multiplier), false);
      const double error = static_cast<double>(x) - static_cast<double>(value) * unit;
      return error * error;
    }
  };
  Candidate six, four;

  QUTLASS_HD FourSix(float amax, float global_scale)
      : six(amax / 6, global_scale), four(amax / 4, global_scale) {}
  QUTLASS_HD const GroupScale& choose(double six_error, double four_error) const {
    return four_error < six_error ? four.scale : six.scale;
  }
};

// ---- AMAX: scales in a floating-point dtype.

// The nearest scale of the dtype that can be used: one too large becomes the largest, and one whose
// reciprocal is not finite, 0 among them, the smallest power of two that has a reciprocal. Codes are computed
// from the stored scale.
QUTLASS_HD inline GroupScale amax_scale(int32_t scale_dtype, float exact) {
  float scale = exact, smallest = 0x1p-127f;
  if (scale_dtype == QUTLASS_BF16) {
    scale = std::min(bf16_to_f32(f32_to_bf16(exact)), bf16_to_f32(0x7F7F));
  } else if (scale_dtype == QUTLASS_F16) {
    scale = std::min(f16_to_f32(f32_to_f16(exact)), f16_to_f32(0x7BFF));
    smallest = 0x1p-24f;
  }
  if (!(1 / scale <= FLT_MAX)) scale = smallest;
  return {scale, 1 / scale, 0};
}

QUTLASS_HD inline GroupScale symmetric_scale(const qutlass_format& format, float amax) {
  return amax_scale(format.scale_dtype, amax > 0 ? amax / largest_element(format.element) : 1);
}

// The lowest element becomes the lowest code, -128 or 0. Zeros: scale 1, zero point 0.
QUTLASS_HD inline GroupScale asymmetric_scale(const qutlass_format& format, float low, float high) {
  if (low == high) return {1, 1, 0};
  const int32_t lowest = format.element == QUTLASS_INT8 ? -128 : 0;
  const int32_t steps = format.element == QUTLASS_INT8 ? 255 : 15;
  const auto divisor = static_cast<float>(steps);
  float step = (high - low) / divisor;
  if (!(step <= FLT_MAX)) step = high / divisor - low / divisor;
  GroupScale scale = amax_scale(format.scale_dtype, step);
  scale.zero_point = lowest + encode_integer(-low * scale.multiplier, 0, steps);
  return scale;
}

// ---- any rule

// Whether a group gets a scale. One with a NaN or an infinity, and every group under a global scale that is
// not a positive number, gets the scale NaN and codes 0: the damage stays in the group, is seen in the
// output, and never turns into finite numbers.
QUTLASS_HD inline bool is_usable(const GroupRange& range, float global_scale) {
  return range.finite() && global_scale > 0 && global_scale <= FLT_MAX;
}

// The rules of scales of a byte that need no more than the largest magnitude.
QUTLASS_HD inline GroupScale byte_scale(const qutlass_format& format, float amax, float global_scale) {
  switch (format.rule) {
    case QUTLASS_RULE_MX_FLOOR: return mx_floor(format.element, amax);
    case QUTLASS_RULE_MX_RCEIL: return mx_rceil(format.element, amax);
    case QUTLASS_RULE_MX_ABS_MAX: return mx_abs_max(amax, global_scale);
    default: return nv_scale(amax / 6, global_scale);
  }
}

// The scale from the range alone, which is enough for all rules but MX_QUEST and NV_FOUR_SIX.
QUTLASS_HD inline GroupScale scale_from_range(const qutlass_format& format, const GroupRange& range,
                                              float global_scale) {
  if (!is_usable(range, global_scale)) return {kNaNScale, 0, 0};
  if (format.rule != QUTLASS_RULE_AMAX) return byte_scale(format, range.amax(), global_scale);
  return format.zero_point ? asymmetric_scale(format, range.low(), range.high())
                           : symmetric_scale(format, range.amax());
}

// Calls visit(encode) with the function that makes the code of an element times the multiplier of its scale,
// which is not NaN: to nearest, or, with 16 random bits as the second argument, stochastically. The choice of
// the function is out of the loops over elements.
template <typename Visit>
QUTLASS_HD inline void with_encoder(const qutlass_format& format, const GroupScale& scale,
                                    const Visit& visit) {
  // rint + zero point, clamped to [low, high]
  const auto integer = [&](int32_t low, int32_t high) {
    const int32_t zero = scale.zero_point;
    visit([=](float v, auto... random) {
      return static_cast<uint8_t>(encode_integer(dithered(v, random...), low - zero, high - zero) + zero);
    });
  };
  switch (format.element) {
    case QUTLASS_E2M1: return visit([](float v, auto... random) { return encode_float<E2M1>(v, random...); });
    case QUTLASS_E4M3: return visit([](float v, auto... random) { return encode_float<E4M3>(v, random...); });
    case QUTLASS_E5M2: return visit([](float v, auto... random) { return encode_float<E5M2>(v, random...); });
    case QUTLASS_INT8: return integer(format.zero_point ? -128 : -127, 127);
    case QUTLASS_INT4: return integer(-8, 7);
    case QUTLASS_UINT4: return integer(0, 15);
    default: return visit([](float v, auto... random) { return encode_nf4(v, random...); });
  }
}

// Whether QuEST keeps the element, given times the multiplier of its scale.
QUTLASS_HD inline bool is_unclipped(float scaled) { return scaled < 6 && scaled > -6; }

// (row, col): of the group, counted in groups.
QUTLASS_HD inline void store_group_scale(const qutlass_quantized& out, int64_t row, int64_t col,
                                         const GroupScale& scale) {
  store_scale(out, scale_offset(out, row, col), scale.scale);
  if (out.zero_points) {
    static_cast<uint8_t*>(out.zero_points)[row * scale_cols(out) + col] =
        static_cast<uint8_t>(scale.zero_point);
  }
}

// ---- global scales

// QuTLASS's factor: e8m0 scales are powers of two not above amax, so elements are below 2 and 3 times that
// fits e2m1.
inline constexpr float kMxAbsMax = 3;

// The global scale under which the largest element becomes the largest e2m1 value times the largest e4m3
// scale. Four over six leaves room for scales that are 1.5 times as large: 256 * 1.5 = 384 fits e4m3. 1 for
// zeros; the largest finite number for an amax so small that the quotient would overflow.
QUTLASS_HD inline float nv_global_scale(int32_t rule, float amax) {
  const float top = rule == QUTLASS_RULE_NV ? 448 * 6 : 256 * 6;
  return amax > 0 ? std::min(top / amax, FLT_MAX) : 1;
}

}  // namespace qutlass
