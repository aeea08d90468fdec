// What JavaScript holds: externals that carry a kind, so that one handle cannot pass for another.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "qutlass.h"

namespace qutlass::node {

enum class Kind : uint32_t {
  kDevice = 0x71756401,
  kStream,
  kEvent,
  kGraph,
  kTensor,
  kQuantized,
  kRotation,
  kRounding
};

// A device lives as long as the last handle that needs it.
using DevicePointer = std::shared_ptr<qutlass_device>;

struct Handle {
  explicit Handle(Kind k) : kind(k) {}
  virtual ~Handle() = default;
  // Drops what the handle owns; the bytes that no longer count for the garbage collector.
  virtual int64_t release() { return 0; }
  Kind kind;
};

struct DeviceHandle : Handle {
  static constexpr Kind kKind = Kind::kDevice;
  explicit DeviceHandle(DevicePointer d) : Handle(kKind), device(std::move(d)) {}
  DevicePointer device;
};

struct StreamHandle : Handle {
  static constexpr Kind kKind = Kind::kStream;
  StreamHandle(DevicePointer d, qutlass_stream* s) : Handle(kKind), device(std::move(d)), stream(s) {}
  ~StreamHandle() override { destroy(); }
  void destroy() {
    if (stream) qutlass_stream_destroy(stream);
    stream = nullptr;
  }
  DevicePointer device;
  qutlass_stream* stream;
};

struct EventHandle : Handle {
  static constexpr Kind kKind = Kind::kEvent;
  explicit EventHandle(qutlass_event* e) : Handle(kKind), event(e) {}
  ~EventHandle() override { qutlass_event_destroy(event); }
  qutlass_event* event;
};

struct GraphHandle : Handle {
  static constexpr Kind kKind = Kind::kGraph;
  GraphHandle(DevicePointer d, qutlass_graph* g) : Handle(kKind), device(std::move(d)), graph(g) {}
  ~GraphHandle() override { destroy(); }
  void destroy() {
    if (graph) qutlass_graph_destroy(graph);
    graph = nullptr;
  }
  DevicePointer device;
  qutlass_graph* graph;
};

// A reference to a block of device memory, or to none.
struct BlockHandle : Handle {
  BlockHandle(Kind k, DevicePointer d, void* b, int64_t size)
      : Handle(k), device(std::move(d)), block(b), bytes(size) {}
  ~BlockHandle() override { BlockHandle::release(); }
  int64_t release() override {
    if (!block) return 0;
    qutlass_free(device.get(), block);
    block = nullptr;
    return bytes;
  }
  DevicePointer device;
  void* block;
  int64_t bytes;  // 0 for a view
};

// The tensor inside a block.
struct TensorHandle : BlockHandle {
  static constexpr Kind kKind = Kind::kTensor;
  TensorHandle(DevicePointer d, void* b, int64_t size, const qutlass_tensor& t)
      : BlockHandle(kKind, std::move(d), b, size), tensor(t) {}
  // Of one without a block.
  void set(const DevicePointer& d, void* b, int64_t size, const qutlass_tensor& t) {
    device = d;
    block = b;
    bytes = size;
    tensor = t;
  }
  qutlass_tensor tensor;
};

// The parts of a quantized matrix: in a block of its own, or in tensors that the JavaScript object keeps
// alive.
struct QuantizedHandle : BlockHandle {
  static constexpr Kind kKind = Kind::kQuantized;
  explicit QuantizedHandle(const qutlass_quantized& q)
      : BlockHandle(kKind, nullptr, nullptr, 0), quantized(q) {}
  QuantizedHandle(DevicePointer d, void* b, int64_t size, const qutlass_quantized& q)
      : BlockHandle(kKind, std::move(d), b, size), quantized(q) {}
  qutlass_quantized quantized;
};

struct RotationHandle : Handle {
  static constexpr Kind kKind = Kind::kRotation;
  explicit RotationHandle(const qutlass_rotation& r) : Handle(kKind), rotation(r) {}
  qutlass_rotation rotation;
};

struct RoundingHandle : Handle {
  static constexpr Kind kKind = Kind::kRounding;
  explicit RoundingHandle(const qutlass_rounding& r) : Handle(kKind), rounding(r) {}
  qutlass_rounding rounding;
};

// Drops what a handle owns before the garbage collector gets to it.
inline void release(Napi::Env env, Handle& handle) {
  if (const int64_t bytes = handle.release()) Napi::MemoryManagement::AdjustExternalMemory(env, -bytes);
}

inline Napi::Value wrap(Napi::Env env, Handle* handle) {
  return Napi::External<Handle>::New(env, handle, [](Napi::Env e, Handle* data) {
    release(e, *data);
    delete data;
  });
}

// What JavaScript passes for a handle, or null. Asking for the type first would be another call.
inline Handle* handle_of(const Napi::Value& value) {
  void* data = nullptr;
  return napi_get_value_external(value.Env(), value, &data) == napi_ok ? static_cast<Handle*>(data) : nullptr;
}

// The handle, or null if it is not of this kind.
template <typename T>
T* cast(Handle* handle) {
  return handle && handle->kind == T::kKind ? static_cast<T*>(handle) : nullptr;
}

template <typename T>
T* unwrap(const Napi::Value& value) {
  return cast<T>(handle_of(value));
}

}  // namespace qutlass::node
