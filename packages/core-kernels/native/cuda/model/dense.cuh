// Dense tensors in kernels: elements as float32, one or eight at a time, rounded to nearest even on the way
// out.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>
#include <iterator>
#include <type_traits>

#include "qutlass.h"

namespace qutlass::cuda {

// Elements that a thread takes at a time where it can: 16 bytes of the narrow types.
inline constexpr int kVector = 8;

// The data of a tensor in F32, BF16 or F16. Kernels look at the dtype when they run: the branch is the same
// for all threads, and three tensors of three types each would otherwise take 27 instances of a kernel.
struct Dense {
  void* data;
  int32_t dtype;
};

inline Dense dense(const qutlass_tensor& tensor) { return {tensor.data, tensor.dtype}; }

constexpr int64_t dense_bytes(int32_t dtype) { return dtype == QUTLASS_F32 ? 4 : 2; }

// Whether rows of `width` elements all start at a multiple of 16 bytes.
inline bool rows_are_aligned(const qutlass_tensor& tensor, int64_t width) {
  return reinterpret_cast<uintptr_t>(tensor.data) % 16 == 0 && width * dense_bytes(tensor.dtype) % 16 == 0;
}

// Whether rows of `width` elements consist of whole vectors; absent tensors do.
inline bool rows_are_vectors(const qutlass_tensor& tensor, int64_t width) {
  return !tensor.data || (width % kVector == 0 && rows_are_aligned(tensor, width));
}

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ inline float to_float(__half value) { return __half2float(value); }

__device__ inline void from_float(float value, float& out) { out = value; }
__device__ inline void from_float(float value, __nv_bfloat16& out) { out = __float2bfloat16_rn(value); }
__device__ inline void from_float(float value, __half& out) { out = __float2half_rn(value); }

// The value as a tensor of the dtype holds it.
__device__ inline float round_to(float value, int32_t dtype) {
  switch (dtype) {
    case QUTLASS_BF16: return __bfloat162float(__float2bfloat16_rn(value));
    case QUTLASS_F16: return __half2float(__float2half_rn(value));
    default: return value;
  }
}

// V neighbours; 8 of them start at a multiple of 16 bytes.
template <int V, typename T>
__device__ inline void load(const T* from, float (&values)[V]) {
  static_assert(V == 1 || V == kVector);
  if constexpr (V == 1) {
    values[0] = to_float(*from);
  } else {
    uint4 words[sizeof(T) * kVector / sizeof(uint4)];
#pragma unroll
    for (int i = 0; i < static_cast<int>(std::size(words)); ++i)
      words[i] = reinterpret_cast<const uint4*>(from)[i];
    T raw[kVector];
    memcpy(raw, words, sizeof raw);
#pragma unroll
    for (int i = 0; i < kVector; ++i) values[i] = to_float(raw[i]);
  }
}

template <int V, typename T>
__device__ inline void store(const float (&values)[V], T* to) {
  static_assert(V == 1 || V == kVector);
  if constexpr (V == 1) {
    from_float(values[0], *to);
  } else {
    T raw[kVector];
#pragma unroll
    for (int i = 0; i < kVector; ++i) from_float(values[i], raw[i]);
    uint4 words[sizeof(T) * kVector / sizeof(uint4)];
    memcpy(words, raw, sizeof raw);
#pragma unroll
    for (int i = 0; i < static_cast<int>(std::size(words)); ++i) reinterpret_cast<uint4*>(to)[i] = words[i];
  }
}

// body(T*) with the elements of a tensor as what they are.
template <typename Body>
__device__ inline void visit(const Dense& tensor, Body&& body) {
  switch (tensor.dtype) {
    case QUTLASS_BF16: body(static_cast<__nv_bfloat16*>(tensor.data)); break;
    case QUTLASS_F16: body(static_cast<__half*>(tensor.data)); break;
    default: body(static_cast<float*>(tensor.data)); break;
  }
}

// V neighbours as they lie in memory. Loads that are followed by a conversion behind a branch on the dtype
// would go one after the other; these do not wait, so a thread fetches all that it needs and then decodes.
template <int V>
struct Fetched {
  static_assert(V == kVector);
  uint4 words[2];
  int32_t dtype;

  Fetched() = default;
  __device__ Fetched(const Dense& from, int64_t offset) : words{}, dtype(from.dtype) {
    const auto* data = static_cast<const uint8_t*>(from.data) + offset * dense_bytes(dtype);
    words[0] = reinterpret_cast<const uint4*>(data)[0];
    if (dtype == QUTLASS_F32) words[1] = reinterpret_cast<const uint4*>(data)[1];
  }
  __device__ void decode(float (&values)[V]) const {
    const Dense own{const_cast<uint4*>(words), dtype};
    visit(own, [&](const auto* data) {
      std::remove_cvref_t<decltype(*data)> raw[V];
      memcpy(raw, words, sizeof raw);
#pragma unroll
      for (int i = 0; i < V; ++i) values[i] = to_float(raw[i]);
    });
  }
};

template <>
struct Fetched<1> {
  uint32_t bits;
  int32_t dtype;

  Fetched() = default;
  __device__ Fetched(const Dense& from, int64_t offset) : dtype(from.dtype) {
    bits = dtype == QUTLASS_F32 ? static_cast<const uint32_t*>(from.data)[offset]
                                : static_cast<const uint16_t*>(from.data)[offset];
  }
  __device__ void decode(float (&values)[1]) const {
    const auto half = static_cast<uint16_t>(bits);
    switch (dtype) {
      case QUTLASS_BF16: values[0] = __bfloat162float(__ushort_as_bfloat16(half)); break;
      case QUTLASS_F16: values[0] = __half2float(__ushort_as_half(half)); break;
      default: values[0] = __uint_as_float(bits); break;
    }
  }
};

template <int V>
__device__ inline void load(const Dense& from, int64_t offset, float (&values)[V]) {
  Fetched<V>(from, offset).decode(values);
}

template <int V>
__device__ inline void store(const float (&values)[V], const Dense& to, int64_t offset) {
  visit(to, [&](auto* data) { store<V>(values, data + offset); });
}

__device__ inline float load_element(const Dense& from, int64_t offset) {
  float value[1];
  load<1>(from, offset, value);
  return value[0];
}

}  // namespace qutlass::cuda
