#include "quantized.h"

#include <array>
#include <memory>

#include "convert.h"
#include "handles.h"

namespace qutlass::node {
namespace {

constexpr size_t kParts = 5;

// Offsets of parts in one block, each where the widest access of a kernel may begin.
struct Block {
  static constexpr int64_t kAlignment = 256;
  std::array<int64_t, kParts> offsets{};
  int64_t bytes = 0;

  explicit Block(const std::array<int64_t, kParts>& sizes) {
    for (size_t part = 0; part < kParts; ++part) {
      offsets[part] = bytes;
      bytes += (sizes[part] + kAlignment - 1) / kAlignment * kAlignment;
    }
  }
};

// Quantizes into a block of its own. Arguments from `first` on are rotation, format, scaleLayout, globalScale
// and the bytes of the parts; quantize(rotation, find_global_scale, out) enqueues the work.
template <typename Quantize>
Napi::Value quantize_new(const Napi::CallbackInfo& info, size_t first, int64_t rows, int64_t cols,
                         const Quantize& quantize) {
  const Napi::Env env = info.Env();
  const DevicePointer& device = require_handle<StreamHandle>(info, 0, "a stream").device;
  std::array<int64_t, kParts> sizes;
  for (size_t part = 0; part < kParts; ++part) sizes[part] = Argument<int64_t>::get(info, first + 4 + part);
  const Block layout(sizes);
  void* block = nullptr;
  check(env, qutlass_alloc(device.get(), static_cast<size_t>(layout.bytes), &block));
  auto handle = std::make_unique<QuantizedHandle>(device, block, layout.bytes, qutlass_quantized{});
  const auto part = [&](size_t index) -> void* {
    return sizes[index] ? static_cast<uint8_t*>(block) + layout.offsets[index] : nullptr;
  };
  qutlass_quantized& q = handle->quantized;
  q.format = *Argument<const qutlass_format*>::get(info, first + 1);
  q.rows = rows;
  q.cols = cols;
  q.scale_layout = Argument<int32_t>::get(info, first + 2);
  q.codes = part(0);
  q.scales = part(1);
  q.zero_points = part(2);
  q.global_scale = static_cast<float*>(part(3));
  q.clip_mask = static_cast<uint8_t*>(part(4));
  const bool find_global_scale = q.global_scale != nullptr;
  if (!find_global_scale) q.global_scale = static_cast<float*>(data_of(info, first + 3));
  check(env, quantize(Argument<const qutlass_rotation*>::get(info, first), find_global_scale, &q));
  Napi::MemoryManagement::AdjustExternalMemory(env, layout.bytes);
  return wrap(env, handle.release());
}

qutlass_tensor require_matrix(const Napi::CallbackInfo& info, size_t index) {
  const qutlass_tensor* tensor = Argument<const qutlass_tensor*>::get(info, index);
  if (!tensor) throw_argument(info.Env(), index, "a tensor");
  return matrix_of(*tensor);
}

}  // namespace

Napi::Value quantized_create(const Napi::CallbackInfo& info) {
  qutlass_quantized q{};
  q.format = *Argument<const qutlass_format*>::get(info, 0);
  q.rows = Argument<int64_t>::get(info, 1);
  q.cols = Argument<int64_t>::get(info, 2);
  q.codes = data_of(info, 3);
  q.scales = data_of(info, 4);
  q.zero_points = data_of(info, 5);
  q.global_scale = static_cast<float*>(data_of(info, 6));
  q.clip_mask = static_cast<uint8_t*>(data_of(info, 7));
  q.scale_layout = Argument<int32_t>::get(info, 8);
  q.tiles = data_of(info, 9);
  return wrap(info.Env(), new QuantizedHandle(q));
}

Napi::Value quantize_new(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_tensor x = require_matrix(info, 1);
  const qutlass_rounding* rounding = Argument<const qutlass_rounding*>::get(info, 2);
  return quantize_new(
      info, 3, x.shape[0], x.shape[1],
      [&](const qutlass_rotation* rotation, bool find_global_scale, const qutlass_quantized* out) {
        return qutlass_quantize(stream, &x, rotation, rounding, find_global_scale, out);
      });
}

Napi::Value quantize_transposed_new(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_operand x = operand_of(info, 1);
  const qutlass_rounding* rounding = Argument<const qutlass_rounding*>::get(info, 2);
  const int64_t rows = x.is_quantized ? x.quantized.cols : x.dense.shape[1];
  const int64_t cols = x.is_quantized ? x.quantized.rows : x.dense.shape[0];
  return quantize_new(
      info, 3, rows, cols,
      [&](const qutlass_rotation* rotation, bool find_global_scale, const qutlass_quantized* out) {
        return qutlass_quantize_transposed(stream, &x, rotation, rounding, find_global_scale, out);
      });
}

Napi::Value quantize_transposed(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_operand x = operand_of(info, 1);
  check(info.Env(), qutlass_quantize_transposed(stream, &x, Argument<const qutlass_rotation*>::get(info, 2),
                                                Argument<const qutlass_rounding*>::get(info, 3),
                                                Argument<int32_t>::get(info, 4),
                                                Argument<const qutlass_quantized*>::get(info, 5)));
  return info.Env().Undefined();
}

Napi::Value rms_norm_quantize_new(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_tensor x = require_matrix(info, 1);
  qutlass_tensor residual{};
  if (!is_absent(info[2])) residual = require_matrix(info, 2);
  const qutlass_tensor* weight = Argument<const qutlass_tensor*>::get(info, 3);
  const auto eps = Argument<float>::get(info, 4);
  return quantize_new(info, 5, x.shape[0], x.shape[1], [&](const auto&... to) {
    return qutlass_rms_norm_quantize(stream, &x, &residual, weight, eps, to...);
  });
}

Napi::Value silu_mul_quantize_new(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_tensor gate = require_matrix(info, 1), up = require_matrix(info, 2);
  return quantize_new(info, 3, gate.shape[0], gate.shape[1], [&](const auto&... to) {
    return qutlass_silu_mul_quantize(stream, &gate, &up, to...);
  });
}

Napi::Value quantized_part(const Napi::CallbackInfo& info) {
  const auto& handle = require_handle<QuantizedHandle>(info, 0, "a quantized matrix");
  if (!handle.block) throw_argument(info.Env(), 0, "a live quantized matrix with a block of its own");
  const qutlass_quantized& q = handle.quantized;
  void* const parts[kParts] = {q.codes, q.scales, q.zero_points, q.global_scale, q.clip_mask};
  const auto index = Argument<uint32_t>::get(info, 1);
  if (index >= kParts || !parts[index]) throw_argument(info.Env(), 1, "a part that there is");
  qutlass_tensor tensor = describe(info, 2, 3);
  tensor.data = parts[index];
  check(info.Env(), qutlass_retain(handle.device.get(), handle.block));
  return wrap(info.Env(), new TensorHandle(handle.device, handle.block, 0, tensor));
}

Napi::Value quantized_release(const Napi::CallbackInfo& info) {
  release(info.Env(), require_handle<QuantizedHandle>(info, 0, "a quantized matrix"));
  return info.Env().Undefined();
}

}  // namespace qutlass::node
