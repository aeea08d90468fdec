// Appending to a cache, for the operations that contain it.
#pragma once

#include "device.h"
#include "qutlass.h"

namespace qutlass {

void require_kv_append(const char* x_name, const qutlass_tensor* x, const qutlass_tensor* positions,
                       const char* cache_name, const qutlass_tensor* cache);
void kv_append(Context& context, const qutlass_tensor& x, const qutlass_tensor& positions,
               const qutlass_tensor& cache);

}  // namespace qutlass
