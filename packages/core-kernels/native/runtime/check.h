// Argument checks shared by the operations. Each message names the argument, what was expected and what came.
#pragma once

#include <initializer_list>
#include <string>

#include "qutlass.h"
#include "status.h"

namespace qutlass {

const char* dtype_name(int32_t dtype);
// Bytes per element.
int64_t dtype_bytes(int32_t dtype);
std::string shape_text(const qutlass_tensor& tensor);
int64_t element_count(const qutlass_tensor& tensor);

inline bool is_float(int32_t dtype) {
  return dtype == QUTLASS_F32 || dtype == QUTLASS_BF16 || dtype == QUTLASS_F16;
}

// Rank within limits, positive extents, a known dtype, non-null data.
void require_tensor(const char* name, const qutlass_tensor* tensor);
// As require_tensor, of this rank (any when -1), of one of these dtypes.
void require_tensor(const char* name, const qutlass_tensor* tensor, int32_t rank,
                    std::initializer_list<int32_t> dtypes);
// As require_tensor, in F32, BF16 or F16.
void require_float_tensor(const char* name, const qutlass_tensor* tensor, int32_t rank);
// Exactly this shape.
void require_shape(const char* name, const qutlass_tensor& tensor, std::initializer_list<int64_t> shape);
void require_stream(const qutlass_stream* stream);

}  // namespace qutlass
