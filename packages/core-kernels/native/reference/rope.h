// Rotary position embedding, for the operations that contain it.
#pragma once

#include "device.h"
#include "qutlass.h"

namespace qutlass {

void require_rope(const char* x_name, const qutlass_tensor* x, const qutlass_tensor* positions,
                  const qutlass_tensor* inv_freq);
void rope(Context& context, const qutlass_tensor& x, const qutlass_tensor& positions,
          const qutlass_tensor& inv_freq);

}  // namespace qutlass
