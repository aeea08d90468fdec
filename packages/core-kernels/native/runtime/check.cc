#include "check.h"

#include <algorithm>

namespace qutlass {
namespace {

struct DType {
  const char* name;
  int64_t bytes;
};

constexpr DType kDTypes[QUTLASS_DTYPE_COUNT] = {{"f32", 4},    {"bf16", 2},   {"f16", 2},
                                                {"i32", 4},    {"i8", 1},     {"u8", 1},
                                                {"f8e4m3", 1}, {"f8e5m2", 1}, {"f8e8m0", 1}};

std::string list_text(const int64_t* values, size_t count) {
  std::string text = "[";
  for (size_t i = 0; i < count; ++i) text += (i ? ", " : "") + std::to_string(values[i]);
  return text + "]";
}

}  // namespace

const char* dtype_name(int32_t dtype) {
  return dtype >= 0 && dtype < QUTLASS_DTYPE_COUNT ? kDTypes[dtype].name : "unknown dtype";
}

int64_t dtype_bytes(int32_t dtype) { return kDTypes[dtype].bytes; }

std::string shape_text(const qutlass_tensor& tensor) {
  const int32_t rank = std::clamp(tensor.rank, 0, QUTLASS_MAX_RANK);
  return list_text(tensor.shape, static_cast<size_t>(rank));
}

int64_t element_count(const qutlass_tensor& tensor) {
  int64_t count = 1;
  for (int32_t i = 0; i < tensor.rank; ++i) count *= tensor.shape[i];
  return count;
}

void require_tensor(const char* name, const qutlass_tensor* tensor) {
  if (!tensor || !tensor->data) fail(QUTLASS_E_ARGUMENT, "%s: expected a tensor, got none", name);
  if (tensor->dtype < 0 || tensor->dtype >= QUTLASS_DTYPE_COUNT) {
    fail(QUTLASS_E_DTYPE, "%s: expected a dtype from 0 to %d, got %d", name, QUTLASS_DTYPE_COUNT - 1,
         tensor->dtype);
  }
  if (tensor->rank < 1 || tensor->rank > QUTLASS_MAX_RANK) {
    fail(QUTLASS_E_SHAPE, "%s: expected rank 1 to %d, got %d", name, QUTLASS_MAX_RANK, tensor->rank);
  }
  for (int32_t i = 0; i < tensor->rank; ++i) {
    if (tensor->shape[i] <= 0) {
      fail(QUTLASS_E_SHAPE, "%s: expected a tensor with elements, got shape %s", name,
           shape_text(*tensor).c_str());
    }
  }
}

void require_tensor(const char* name, const qutlass_tensor* tensor, int32_t rank,
                    std::initializer_list<int32_t> dtypes) {
  require_tensor(name, tensor);
  if (rank >= 0 && tensor->rank != rank) {
    fail(QUTLASS_E_SHAPE, "%s: expected rank %d, got shape %s", name, rank, shape_text(*tensor).c_str());
  }
  if (std::find(dtypes.begin(), dtypes.end(), tensor->dtype) != dtypes.end()) return;
  std::string expected;
  for (int32_t dtype : dtypes) expected += (expected.empty() ? "" : " or ") + std::string(dtype_name(dtype));
  fail(QUTLASS_E_DTYPE, "%s: expected %s, got %s", name, expected.c_str(), dtype_name(tensor->dtype));
}

void require_float_tensor(const char* name, const qutlass_tensor* tensor, int32_t rank) {
  require_tensor(name, tensor, rank, {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16});
}

void require_shape(const char* name, const qutlass_tensor& tensor, std::initializer_list<int64_t> shape) {
  const bool equal = static_cast<size_t>(tensor.rank) == shape.size() &&
                     std::equal(shape.begin(), shape.end(), tensor.shape);
  if (equal) return;
  fail(QUTLASS_E_SHAPE, "%s: expected shape %s, got %s", name, list_text(shape.begin(), shape.size()).c_str(),
       shape_text(tensor).c_str());
}

void require_stream(const qutlass_stream* stream) {
  if (!stream) fail(QUTLASS_E_ARGUMENT, "stream: expected a stream, got NULL");
}

}  // namespace qutlass
