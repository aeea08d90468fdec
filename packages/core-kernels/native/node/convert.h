// JavaScript arguments to the argument types of the C ABI, and a C function as a JavaScript function.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "handles.h"
#include "qutlass.h"

namespace qutlass::node {

// Throws the JavaScript QutlassError for a status; the text is qutlass_last_error() unless given.
[[noreturn]] void throw_status(Napi::Env env, qutlass_status status, const char* text = nullptr);
Napi::Value make_error(Napi::Env env, qutlass_status status, const char* text);
[[noreturn]] void throw_argument(Napi::Env env, size_t index, const char* expected);

template <typename T>
T& require_handle(const Napi::CallbackInfo& info, size_t index, const char* expected) {
  T* handle = unwrap<T>(info[index]);
  if (!handle) throw_argument(info.Env(), index, expected);
  return *handle;
}

inline void check(Napi::Env env, qutlass_status status) {
  if (status != QUTLASS_OK) throw_status(env, status);
}

inline bool is_absent(const Napi::Value& value) {
  const napi_valuetype type = value.Type();
  return type == napi_null || type == napi_undefined;
}

// Argument<T>::get(info, i) reads JavaScript argument i as the C type T; what it returns lives through the
// call.
template <typename T>
struct Argument;

template <>
struct Argument<qutlass_stream*> {
  static qutlass_stream* get(const Napi::CallbackInfo& info, size_t i) {
    qutlass_stream* stream = require_handle<StreamHandle>(info, i, "a stream").stream;
    if (!stream)
      throw_status(info.Env(), QUTLASS_E_ARGUMENT, "stream: expected a live stream, got a destroyed one");
    return stream;
  }
};

template <>
struct Argument<const qutlass_tensor*> {
  static const qutlass_tensor* get(const Napi::CallbackInfo& info, size_t i) {
    return get(info, i, handle_of(info[i]));
  }
  static const qutlass_tensor* get(const Napi::CallbackInfo& info, size_t i, Handle* any) {
    const TensorHandle* handle = cast<TensorHandle>(any);
    if (!handle && is_absent(info[i])) return nullptr;
    if (!handle) throw_argument(info.Env(), i, "a tensor");
    if (!handle->block) throw_argument(info.Env(), i, "a tensor that is not disposed");
    return &handle->tensor;
  }
};

template <>
struct Argument<const qutlass_quantized*> {
  static const qutlass_quantized* get(const Napi::CallbackInfo& info, size_t i) {
    return &require_handle<QuantizedHandle>(info, i, "a quantized matrix").quantized;
  }
};

template <>
struct Argument<const qutlass_rotation*> {
  static const qutlass_rotation* get(const Napi::CallbackInfo& info, size_t i) {
    return is_absent(info[i]) ? nullptr : &require_handle<RotationHandle>(info, i, "a rotation").rotation;
  }
};

template <>
struct Argument<const qutlass_rounding*> {
  static const qutlass_rounding* get(const Napi::CallbackInfo& info, size_t i) {
    return is_absent(info[i]) ? nullptr : &require_handle<RoundingHandle>(info, i, "a rounding").rounding;
  }
};

template <>
struct Argument<const qutlass_format*> {
  // An Int32Array with the fields of qutlass_format in order.
  static const qutlass_format* get(const Napi::CallbackInfo& info, size_t i) {
    napi_typedarray_type type{};
    size_t length = 0;
    void* fields = nullptr;
    const napi_status status =
        napi_get_typedarray_info(info.Env(), info[i], &type, &length, &fields, nullptr, nullptr);
    if (status != napi_ok || type != napi_int32_array || length != 6)
      throw_argument(info.Env(), i, "an Int32Array of 6 format fields");
    return static_cast<const qutlass_format*>(fields);
  }
};

template <typename T>
  requires std::is_arithmetic_v<T>
struct Argument<T> {
  static T get(const Napi::CallbackInfo& info, size_t i) {
    double number = 0;
    if (napi_get_value_double(info.Env(), info[i], &number) != napi_ok)
      throw_argument(info.Env(), i, "a number");
    return static_cast<T>(number);
  }
};

// A tensor without data: its dtype and its shape, an array of extents.
inline qutlass_tensor describe(const Napi::CallbackInfo& info, size_t dtype_index, size_t shape_index) {
  qutlass_tensor tensor{};
  tensor.dtype = Argument<int32_t>::get(info, dtype_index);
  if (!info[shape_index].IsArray()) throw_argument(info.Env(), shape_index, "an array of extents");
  const auto shape = info[shape_index].As<Napi::Array>();
  if (shape.Length() < 1 || shape.Length() > QUTLASS_MAX_RANK) {
    throw_argument(info.Env(), shape_index, "an array of 1 to 4 extents");
  }
  tensor.rank = static_cast<int32_t>(shape.Length());
  for (uint32_t i = 0; i < shape.Length(); ++i) {
    tensor.shape[i] = shape.Get(i).As<Napi::Number>().Int64Value();
  }
  return tensor;
}

inline void* data_of(const Napi::CallbackInfo& info, size_t index) {
  const qutlass_tensor* tensor = Argument<const qutlass_tensor*>::get(info, index);
  return tensor ? tensor->data : nullptr;
}

// A tensor as the matrix of its last dimension.
inline qutlass_tensor matrix_of(const qutlass_tensor& tensor) {
  if (tensor.rank == 2) return tensor;
  int64_t rows = 1;
  for (int32_t i = 0; i + 1 < tensor.rank; ++i) rows *= tensor.shape[i];
  return {tensor.data, tensor.dtype, 2, {rows, tensor.shape[tensor.rank - 1]}};
}

// A tensor or a quantized matrix; neither where the argument is absent.
inline qutlass_operand operand_of(const Napi::CallbackInfo& info, size_t index) {
  qutlass_operand operand{};
  Handle* const any = handle_of(info[index]);
  if (const auto* quantized = cast<QuantizedHandle>(any)) {
    operand.is_quantized = 1;
    operand.quantized = quantized->quantized;
  } else if (const qutlass_tensor* tensor = Argument<const qutlass_tensor*>::get(info, index, any)) {
    operand.dense = matrix_of(*tensor);
  }
  return operand;
}

template <auto Function>
struct Bound;

template <typename... Arguments, qutlass_status (*Function)(Arguments...)>
struct Bound<Function> {
  static Napi::Value call(const Napi::CallbackInfo& info) {
    return call(info, std::index_sequence_for<Arguments...>{});
  }

 private:
  template <size_t... I>
  static Napi::Value call(const Napi::CallbackInfo& info, std::index_sequence<I...>) {
    // Braces fix the order: the first wrong argument is the one that is reported.
    const std::tuple<Arguments...> arguments{Argument<Arguments>::get(info, I)...};
    const qutlass_status status = std::apply(Function, arguments);
    if (status != QUTLASS_OK) throw_status(info.Env(), status);
    return info.Env().Undefined();
  }
};

// An operation of the C ABI whose arguments all convert one to one.
template <auto Function>
Napi::Value operation(const Napi::CallbackInfo& info) {
  return Bound<Function>::call(info);
}

}  // namespace qutlass::node
