// Rotary embedding and cache in one step, for the operations that contain it.
#pragma once

#include "device.h"
#include "qutlass.h"

namespace qutlass {

void require_rope_append(const qutlass_tensor* q, const qutlass_tensor* k, const qutlass_tensor* v,
                         const qutlass_tensor* positions, const qutlass_tensor* inv_freq,
                         const qutlass_tensor* k_cache, const qutlass_tensor* v_cache);
void rope_append(Context& context, const qutlass_tensor& q, const qutlass_tensor& k, const qutlass_tensor& v,
                 const qutlass_tensor& positions, const qutlass_tensor& inv_freq,
                 const qutlass_tensor& k_cache, const qutlass_tensor& v_cache);

}  // namespace qutlass
