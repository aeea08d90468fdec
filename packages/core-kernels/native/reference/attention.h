// Attention, for the operations that contain it.
#pragma once

#include "device.h"
#include "qutlass.h"

namespace qutlass {

void require_attention(const qutlass_tensor* q, const qutlass_tensor* k_cache, const qutlass_tensor* v_cache,
                       const qutlass_tensor* positions, float scale, const qutlass_tensor* out);
void attention(Context& context, const qutlass_tensor& q, const qutlass_tensor& k_cache,
               const qutlass_tensor& v_cache, const qutlass_tensor& positions, float scale,
               const qutlass_tensor& out);

}  // namespace qutlass
