// The shape check of operations that work element by element.
#pragma once

#include <algorithm>

#include "check.h"

namespace qutlass {

// The shape of `like`.
inline void require_same_shape(const char* name, const qutlass_tensor& tensor, const qutlass_tensor& like) {
  if (std::equal(tensor.shape, tensor.shape + tensor.rank, like.shape, like.shape + like.rank)) return;
  fail(QUTLASS_E_SHAPE, "%s: expected shape %s, got %s", name, shape_text(like).c_str(),
       shape_text(tensor).c_str());
}

}  // namespace qutlass
