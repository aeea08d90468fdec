// Operations that are steps of others: what they check at once, and what they do when the stream gets there.
#pragma once

#include <cstdint>

#include "device.h"
#include "qutlass.h"

namespace qutlass {

struct RmsNorm {
  qutlass_tensor x;
  qutlass_tensor residual;  // data may be null
  qutlass_tensor weight;
  float eps;
};

// residual may be null. Throws unless the operation can be done.
RmsNorm require_rms_norm(const qutlass_tensor* x, const qutlass_tensor* residual,
                         const qutlass_tensor* weight, float eps);
// out: of the shape of x; may be x itself
void rms_norm(Context& context, const RmsNorm& norm, const qutlass_tensor& out);

void require_silu_mul(const qutlass_tensor* gate, const qutlass_tensor* up);
// out: of the shape of gate; may be gate or up itself
void silu_mul(Context& context, const qutlass_tensor& gate, const qutlass_tensor& up,
              const qutlass_tensor& out);

// The largest magnitude among the finite elements of x [rows, cols], rotated: a NaN or an infinity spoils its
// own group, not the scale of all others.
float finite_amax(Context& context, const qutlass_tensor& x, const qutlass_rotation& rotation);

struct Quantization {
  qutlass_rotation rotation;
  qutlass_rounding rounding;
  bool find_global_scale;
  qutlass_quantized out;
};

// Of any input.
Quantization require_quantization(const qutlass_rotation* rotation, const qutlass_rounding* rounding,
                                  int32_t find_global_scale, const qutlass_quantized* out);
// Of x, the matrix to be quantized, which argument `name` has.
Quantization require_quantization(const char* name, const qutlass_tensor* x, const qutlass_rotation* rotation,
                                  const qutlass_rounding* rounding, int32_t find_global_scale,
                                  const qutlass_quantized* out);
void quantize(Context& context, const qutlass_tensor& x, const Quantization& quantization);

// out: of the shape of q; rotation: is undone
void dequantize(Context& context, const qutlass_quantized& q, const qutlass_rotation& rotation,
                const qutlass_tensor& out);

// out[r, c] = x[c, r], elements of 1, 2 or 4 bytes
void transpose(Context& context, const qutlass_tensor& x, const qutlass_tensor& out);

}  // namespace qutlass
