// The scales of numerics/group_scale.h with fewer instructions, for groups whose range has an ordinary
// exponent, which is to say nearly all. To the same bits.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "numerics/group_scale.h"

namespace qutlass::cuda {

// Whether a magnitude is zero, or so far from the ends of float32 that its quotients are too.
__device__ inline bool is_moderate(float magnitude) {
  return magnitude == 0 || (magnitude >= 0x1p-60f && magnitude <= 0x1p60f);
}

// x / divisor, rounded to nearest, of ordinary numbers and the reciprocal of the divisor, rounded to nearest:
// one correction is enough (Markstein, "Computation of elementary functions on the IBM RISC System/6000
// processor", 1990). For the divisors below it was compared with the quotient for all mantissas of x.
__device__ inline float quotient(float x, float divisor, float reciprocal) {
  const float near = x * reciprocal;
  return fmaf(fmaf(-near, divisor, x), reciprocal, near);
}

// 1 / x, rounded to nearest, of an ordinary number: what compilers do after they have looked at its exponent.
__device__ inline float reciprocal(float x) {
  float near;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(near) : "f"(x));
  return fmaf(fmaf(-x, near, 1.0f), near, near);
}

// The code of x >= 0 or NaN, a value of e4m3 or not.
__device__ inline uint8_t e4m3_code(float x) {
#if __CUDA_ARCH__ >= 890
  uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
  return static_cast<uint8_t>(pair);
#else
  return E4M3::encode(x);
#endif
}
__device__ inline float e4m3_value(uint8_t code) {
#if __CUDA_ARCH__ >= 890
  uint32_t pair;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(pair) : "h"(uint16_t{code}));
  return __half2float(__ushort_as_half(static_cast<uint16_t>(pair)));
#else
  return E4M3::decode(code, false);
#endif
}

// What the range of a group is divided by where a rule says so: the largest element, or the steps that a zero
// point leaves.
struct RangeDivisor {
  float divisor, reciprocal;

  explicit RangeDivisor(const qutlass_format& format)
      : divisor(!format.zero_point               ? largest_element(format.element)
                : format.element == QUTLASS_INT8 ? 255.0f
                                                 : 15.0f),
        reciprocal(1 / divisor) {}
};

// The functions below are those without "quick" in their name, of ordinary numbers.

__device__ inline GroupScale quick_nv_scale(float target, float global_scale) {
  const float scale = e4m3_value(e4m3_code(global_scale * target));
  const float multiplier = quotient(global_scale, scale, reciprocal(scale));
  return {scale, scale > 0 ? multiplier : 0.0f, 0};
}

__device__ inline GroupScale quick_byte_scale(const qutlass_format& format, float amax, float global_scale,
                                              const RangeDivisor& by) {
  if (format.rule == QUTLASS_RULE_MX_FLOOR) return mx_floor(format.element, amax);
  if (format.rule == QUTLASS_RULE_MX_ABS_MAX) return mx_abs_max(amax, global_scale);
  const float target = quotient(amax, by.divisor, by.reciprocal);
  if (format.rule == QUTLASS_RULE_NV) return quick_nv_scale(target, global_scale);
  return mx_scale(static_cast<int32_t>((__float_as_uint(target) + 0x7FFFFFu) >> 23), 1);
}

__device__ inline GroupScale quick_amax_scale(int32_t scale_dtype, float exact) {
  float scale = exact;
  if (scale_dtype == QUTLASS_BF16) {
    scale = __bfloat162float(__float2bfloat16_rn(exact));
  } else if (scale_dtype == QUTLASS_F16) {
    scale = fmaxf(fminf(__half2float(__float2half_rn(exact)), 65504.0f), 0x1p-24f);
  }
  return {scale, reciprocal(scale), 0};
}

// Whether a group has a scale of the functions above. It is finite then, and so is its global scale.
__device__ inline bool is_quick(float width, float global_scale) {
  return is_moderate(width) && global_scale >= 0x1p-60f && global_scale <= 0x1p60f;
}

// The scale from the range of a group, with the divisor of the format.
__device__ inline GroupScale group_scale(const qutlass_format& format, const GroupRange& range,
                                         float global_scale, const RangeDivisor& by) {
  const float width = format.zero_point ? range.high() - range.low() : range.high();
  if (!is_quick(width, global_scale)) return scale_from_range(format, range, global_scale);
  if (format.rule != QUTLASS_RULE_AMAX) return quick_byte_scale(format, width, global_scale, by);
  GroupScale scale =
      quick_amax_scale(format.scale_dtype, width == 0 ? 1.0f : quotient(width, by.divisor, by.reciprocal));
  if (format.zero_point && width != 0) {
    const bool int8 = format.element == QUTLASS_INT8;
    scale.zero_point = encode_integer(-range.low() * scale.multiplier, 0, int8 ? 255 : 15) - (int8 ? 128 : 0);
  }
  return scale;
}

}  // namespace qutlass::cuda
