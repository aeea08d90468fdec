// The Node-API binding: arguments in, status out. One instance per JavaScript environment, no static state.
#include <napi.h>

#include <cstring>
#include <memory>
#include <string>

#include "convert.h"
#include "handles.h"
#include "matmul.h"
#include "quantized.h"
#include "qutlass.h"

namespace qutlass::node {
namespace {

constexpr const char* kStatusCodes[] = {"",
                                        "QUTLASS_E_ARGUMENT",
                                        "QUTLASS_E_SHAPE",
                                        "QUTLASS_E_DTYPE",
                                        "QUTLASS_E_FORMAT",
                                        "QUTLASS_E_UNSUPPORTED",
                                        "QUTLASS_E_OUT_OF_MEMORY",
                                        "QUTLASS_E_NO_DEVICE",
                                        "QUTLASS_E_CAPTURE",
                                        "QUTLASS_E_CUDA",
                                        "QUTLASS_E_INTERNAL"};

// Settles a promise from the thread of a stream. Keeps what the work writes to alive until then.
struct Completion {
  Napi::Promise::Deferred deferred;
  Napi::Reference<Napi::Value> kept;
  qutlass_status status = QUTLASS_OK;
  std::string message{};
};

struct HostView {
  void* data;
  size_t bytes;
};

HostView host_view(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsTypedArray()) throw_argument(info.Env(), index, "a typed array");
  const auto view = info[index].As<Napi::TypedArray>();
  return {static_cast<uint8_t*>(view.ArrayBuffer().Data()) + view.ByteOffset(), view.ByteLength()};
}

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) {
    DefineAddon(exports, {
                             InstanceMethod("initialize", &Addon::Initialize),
                             InstanceMethod("streamSynchronize", &Addon::StreamSynchronize),
                             InstanceMethod("read", &Addon::Read),
                         });
    completions_ = Napi::ThreadSafeFunction::New(
        env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), "qutlass", 0, 1);
    completions_.Unref(env);
  }

  Napi::Value NewError(Napi::Env env, qutlass_status status, const char* text) {
    Napi::Value code = Napi::String::New(env, kStatusCodes[status]);
    Napi::Value message = Napi::String::New(env, text);
    return error_class_.New({code, message});
  }

 private:
  // initialize(QutlassError): the class that failures are thrown as.
  void Initialize(const Napi::CallbackInfo& info) {
    error_class_ = Napi::Persistent(info[0].As<Napi::Function>());
    error_class_.SuppressDestruct();
  }

  // A promise that settles when all work enqueued so far on the stream has run.
  Napi::Value Settle(Napi::Env env, qutlass_stream* stream, Napi::Value kept) {
    auto completion = std::make_unique<Completion>(Completion{Napi::Promise::Deferred::New(env), {}});
    if (!kept.IsEmpty()) completion->kept = Napi::Persistent(kept);
    Napi::Promise promise = completion->deferred.Promise();
    struct Pending {
      Napi::ThreadSafeFunction completions;
      Addon* addon;
      std::unique_ptr<Completion> completion;
    };
    completions_.Acquire();
    auto* pending = new Pending{completions_, this, std::move(completion)};
    const qutlass_status status = qutlass_stream_call(
        stream,
        [](void* user, qutlass_status work_status) {
          std::unique_ptr<Pending> p(static_cast<Pending*>(user));
          p->completion->status = work_status;
          if (work_status != QUTLASS_OK) p->completion->message = qutlass_last_error();
          Addon* addon = p->addon;
          Completion* done = p->completion.release();
          const napi_status called =
              p->completions.NonBlockingCall(done, [addon](Napi::Env e, Napi::Function, Completion* data) {
                std::unique_ptr<Completion> owned(data);
                if (--addon->pending_ == 0) addon->completions_.Unref(e);
                if (owned->status == QUTLASS_OK) {
                  owned->deferred.Resolve(e.Undefined());
                } else {
                  owned->deferred.Reject(addon->NewError(e, owned->status, owned->message.c_str()));
                }
              });
          // While the environment shuts down nobody waits any more; its references went with it.
          if (called != napi_ok) done->kept.SuppressDestruct();
          if (called != napi_closing) p->completions.Release();
        },
        pending);
    if (status != QUTLASS_OK) {
      delete pending;
      completions_.Release();
      throw_status(env, status);
    }
    if (pending_++ == 0) completions_.Ref(env);
    return promise;
  }

  // streamSynchronize(stream): Promise<void>
  Napi::Value StreamSynchronize(const Napi::CallbackInfo& info) {
    return Settle(info.Env(), Argument<qutlass_stream*>::get(info, 0), Napi::Value());
  }

  // read(stream, tensor, view): Promise<void>; fills the typed array.
  Napi::Value Read(const Napi::CallbackInfo& info) {
    qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
    const qutlass_tensor* tensor = Argument<const qutlass_tensor*>::get(info, 1);
    const HostView host = host_view(info, 2);
    check(info.Env(), qutlass_read(stream, tensor, host.data, host.bytes));
    return Settle(info.Env(), stream, info[2]);
  }

  Napi::FunctionReference error_class_;
  Napi::ThreadSafeFunction completions_;
  int pending_ = 0;  // completions that keep the event loop alive; touched on the JavaScript thread only
};

const char* optional_string(const Napi::Value& value, std::string& storage) {
  storage = value.As<Napi::String>().Utf8Value();
  return storage.c_str();
}

Napi::Value abi_version(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), qutlass_abi_version());
}

Napi::Value version(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), qutlass_version());
}

Napi::Value gpu_count(const Napi::CallbackInfo& info) {
  int32_t count = 0;
  check(info.Env(), qutlass_gpu_count(&count));
  return Napi::Number::New(info.Env(), count);
}

// deviceOpen(name, threads): Device
Napi::Value device_open(const Napi::CallbackInfo& info) {
  std::string name;
  qutlass_device* device = nullptr;
  check(info.Env(),
        qutlass_device_open(optional_string(info[0], name), Argument<int32_t>::get(info, 1), &device));
  return wrap(info.Env(), new DeviceHandle(DevicePointer(device, qutlass_device_close)));
}

Napi::Value device_info(const Napi::CallbackInfo& info) {
  qutlass_device_info out;
  check(info.Env(),
        qutlass_device_get_info(require_handle<DeviceHandle>(info, 0, "a device").device.get(), &out));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("name", out.name);
  object.Set("isa", out.isa);
  object.Set("driver", out.driver);
  object.Set("threads", out.threads);
  object.Set("memoryBytes", static_cast<double>(out.memory_bytes));
  object.Set("cacheBytes", static_cast<double>(out.cache_bytes));
  object.Set("clockHz", out.clock_hz);
  object.Set("memoryBandwidth", out.memory_bandwidth);
  return object;
}

Napi::Value memory_stats(const Napi::CallbackInfo& info) {
  qutlass_memory_stats out;
  check(info.Env(),
        qutlass_memory_get_stats(require_handle<DeviceHandle>(info, 0, "a device").device.get(), &out));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("allocated", static_cast<double>(out.allocated));
  object.Set("reserved", static_cast<double>(out.reserved));
  object.Set("peak", static_cast<double>(out.peak));
  object.Set("allocations", static_cast<double>(out.allocations));
  return object;
}

Napi::Value memory_trim(const Napi::CallbackInfo& info) {
  check(info.Env(), qutlass_memory_trim(require_handle<DeviceHandle>(info, 0, "a device").device.get()));
  return info.Env().Undefined();
}

Napi::Value stream_create(const Napi::CallbackInfo& info) {
  auto& device = require_handle<DeviceHandle>(info, 0, "a device").device;
  qutlass_stream* stream = nullptr;
  check(info.Env(), qutlass_stream_create(device.get(), &stream));
  return wrap(info.Env(), new StreamHandle(device, stream));
}

Napi::Value stream_destroy(const Napi::CallbackInfo& info) {
  require_handle<StreamHandle>(info, 0, "a stream").destroy();
  return info.Env().Undefined();
}

Napi::Value event_record(const Napi::CallbackInfo& info) {
  qutlass_event* event = nullptr;
  check(info.Env(), qutlass_event_record(Argument<qutlass_stream*>::get(info, 0),
                                         Argument<int32_t>::get(info, 1), &event));
  return wrap(info.Env(), new EventHandle(event));
}

Napi::Value event_elapsed(const Napi::CallbackInfo& info) {
  double seconds = 0;
  check(info.Env(), qutlass_event_elapsed(require_handle<EventHandle>(info, 0, "an event").event,
                                          require_handle<EventHandle>(info, 1, "an event").event, &seconds));
  return Napi::Number::New(info.Env(), seconds);
}

Napi::Value stream_wait(const Napi::CallbackInfo& info) {
  check(info.Env(), qutlass_stream_wait(Argument<qutlass_stream*>::get(info, 0),
                                        require_handle<EventHandle>(info, 1, "an event").event));
  return info.Env().Undefined();
}

Napi::Value graph_end(const Napi::CallbackInfo& info) {
  qutlass_graph* graph = nullptr;
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  check(info.Env(), qutlass_graph_end(stream, &graph));
  return wrap(info.Env(), new GraphHandle(require_handle<StreamHandle>(info, 0, "a stream").device, graph));
}

Napi::Value graph_launch(const Napi::CallbackInfo& info) {
  check(info.Env(), qutlass_graph_launch(require_handle<GraphHandle>(info, 0, "a graph").graph,
                                         Argument<qutlass_stream*>::get(info, 1)));
  return info.Env().Undefined();
}

Napi::Value graph_node_count(const Napi::CallbackInfo& info) {
  const auto& handle = require_handle<GraphHandle>(info, 0, "a graph");
  return Napi::Number::New(info.Env(), static_cast<double>(qutlass_graph_node_count(handle.graph)));
}

Napi::Value graph_destroy(const Napi::CallbackInfo& info) {
  require_handle<GraphHandle>(info, 0, "a graph").destroy();
  return info.Env().Undefined();
}

// tensorCreate(device, dtype, shape, bytes, host, released): Tensor; host is a typed array to copy from, or
// null; so is released, a handle to use again
Napi::Value tensor_create(const Napi::CallbackInfo& info) {
  auto& device = require_handle<DeviceHandle>(info, 0, "a device").device;
  TensorHandle* const released = unwrap<TensorHandle>(info[5]);
  if (released && released->block) throw_argument(info.Env(), 5, "a released tensor");
  qutlass_tensor tensor = describe(info, 1, 2);
  const int64_t bytes = Argument<int64_t>::get(info, 3);
  if (is_absent(info[4])) {
    check(info.Env(), qutlass_alloc(device.get(), static_cast<size_t>(bytes), &tensor.data));
  } else {
    const HostView host = host_view(info, 4);
    if (host.bytes != static_cast<size_t>(bytes))
      throw_argument(info.Env(), 4, "as many bytes as the tensor has");
    check(info.Env(), qutlass_alloc_from(device.get(), host.data, host.bytes, &tensor.data));
  }
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), bytes);
  if (!released) return wrap(info.Env(), new TensorHandle(device, tensor.data, bytes, tensor));
  released->set(device, tensor.data, bytes, tensor);
  return info[5];
}

// tensorView(tensor, dtype, shape, byteOffset): Tensor; shares the memory. The caller keeps it inside the
// base.
Napi::Value tensor_view(const Napi::CallbackInfo& info) {
  auto& base = require_handle<TensorHandle>(info, 0, "a tensor");
  if (!base.block) throw_argument(info.Env(), 0, "a tensor that is not disposed");
  qutlass_tensor tensor = describe(info, 1, 2);
  tensor.data = static_cast<uint8_t*>(base.tensor.data) + Argument<int64_t>::get(info, 3);
  check(info.Env(), qutlass_retain(base.device.get(), base.block));
  return wrap(info.Env(), new TensorHandle(base.device, base.block, 0, tensor));
}

Napi::Value tensor_release(const Napi::CallbackInfo& info) {
  release(info.Env(), require_handle<TensorHandle>(info, 0, "a tensor"));
  return info.Env().Undefined();
}

// write(stream, tensor, view)
Napi::Value write(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_tensor* tensor = Argument<const qutlass_tensor*>::get(info, 1);
  const HostView host = host_view(info, 2);
  check(info.Env(), qutlass_write(stream, host.data, host.bytes, tensor));
  return info.Env().Undefined();
}

// tileBytes(device, q): number
Napi::Value tile_bytes(const Napi::CallbackInfo& info) {
  int64_t bytes = 0;
  check(info.Env(), qutlass_tile_bytes(require_handle<DeviceHandle>(info, 0, "a device").device.get(),
                                       Argument<const qutlass_quantized*>::get(info, 1), &bytes));
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

// rotationCreate(kind, size, data): Rotation
Napi::Value rotation_create(const Napi::CallbackInfo& info) {
  const qutlass_rotation rotation{Argument<int32_t>::get(info, 0), Argument<int32_t>::get(info, 1),
                                  data_of(info, 2)};
  return wrap(info.Env(), new RotationHandle(rotation));
}

// roundingCreate(kind, draw, seed, counter); the caller keeps the counter alive
Napi::Value rounding_create(const Napi::CallbackInfo& info) {
  const qutlass_rounding rounding{Argument<int32_t>::get(info, 0), Argument<uint32_t>::get(info, 1),
                                  Argument<uint64_t>::get(info, 2),
                                  static_cast<const int32_t*>(data_of(info, 3))};
  return wrap(info.Env(), new RoundingHandle(rounding));
}

// sample(stream, logits, counters, temperature, topK, topP, seed, out)
Napi::Value sample(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_sampling sampling{Argument<float>::get(info, 3), Argument<int32_t>::get(info, 4),
                                  Argument<float>::get(info, 5), Argument<uint64_t>::get(info, 6)};
  check(info.Env(), qutlass_sample(stream, Argument<const qutlass_tensor*>::get(info, 1),
                                   Argument<const qutlass_tensor*>::get(info, 2), &sampling,
                                   Argument<const qutlass_tensor*>::get(info, 7)));
  return info.Env().Undefined();
}

using Function = Napi::Value (*)(const Napi::CallbackInfo&);

constexpr struct {
  const char* name;
  Function function;
} kFunctions[] = {
    {"abiVersion", abi_version},
    {"version", version},
    {"gpuCount", gpu_count},
    {"deviceOpen", device_open},
    {"deviceInfo", device_info},
    {"memoryStats", memory_stats},
    {"memoryTrim", memory_trim},
    {"streamCreate", stream_create},
    {"streamDestroy", stream_destroy},
    {"streamSynchronizeBlocking", operation<qutlass_stream_synchronize>},
    {"eventRecord", event_record},
    {"eventElapsed", event_elapsed},
    {"streamWait", stream_wait},
    {"graphBegin", operation<qutlass_graph_begin>},
    {"graphEnd", graph_end},
    {"graphLaunch", graph_launch},
    {"graphNodeCount", graph_node_count},
    {"graphDestroy", graph_destroy},
    {"tensorCreate", tensor_create},
    {"tensorView", tensor_view},
    {"tensorRelease", tensor_release},
    {"write", write},
    {"fill", operation<qutlass_fill>},
    {"fillRandom", operation<qutlass_fill_random>},
    {"checksum", operation<qutlass_checksum>},
    {"convert", operation<qutlass_convert>},
    {"transpose", operation<qutlass_transpose>},
    {"pad", operation<qutlass_pad>},
    {"copyRows", operation<qutlass_copy_rows>},
    {"sliceRows", operation<qutlass_slice_rows>},
    {"encode", operation<qutlass_encode>},
    {"decode", operation<qutlass_decode>},
    {"pack4", operation<qutlass_pack4>},
    {"unpack4", operation<qutlass_unpack4>},
    {"scalesToBlocked", operation<qutlass_scales_to_blocked>},
    {"scalesFromBlocked", operation<qutlass_scales_from_blocked>},
    {"quantizedCreate", quantized_create},
    {"quantizeNew", quantize_new},
    {"quantizeTransposedNew", quantize_transposed_new},
    {"rmsNormQuantizeNew", rms_norm_quantize_new},
    {"siluMulQuantizeNew", silu_mul_quantize_new},
    {"quantizedPart", quantized_part},
    {"quantizedRelease", quantized_release},
    {"rotationCreate", rotation_create},
    {"roundingCreate", rounding_create},
    {"tileBytes", tile_bytes},
    {"tile", operation<qutlass_tile>},
    {"globalScale", operation<qutlass_global_scale>},
    {"quantize", operation<qutlass_quantize>},
    {"quantizeTransposed", quantize_transposed},
    {"quantizeSquares", operation<qutlass_quantize_squares>},
    {"rmsNormQuantize", operation<qutlass_rms_norm_quantize>},
    {"siluMulQuantize", operation<qutlass_silu_mul_quantize>},
    {"dequantize", operation<qutlass_dequantize>},
    {"rotate", operation<qutlass_rotate>},
    {"quantizeInt8WithScale", operation<qutlass_quantize_int8_with_scale>},
    {"kernels", kernels},
    {"matmulSupported", matmul_supported},
    {"matmul", matmul},
    {"matmulGroup", matmul_group},
    {"matmulExperts", matmul_experts},
    {"embedding", operation<qutlass_embedding>},
    {"rmsNorm", operation<qutlass_rms_norm>},
    {"rope", operation<qutlass_rope>},
    {"kvAppend", operation<qutlass_kv_append>},
    {"ropeAppend", operation<qutlass_rope_append>},
    {"attention", operation<qutlass_attention>},
    {"ropeAttention", operation<qutlass_rope_attention>},
    {"siluMul", operation<qutlass_silu_mul>},
    {"add", operation<qutlass_add>},
    {"sample", sample},
    {"crossEntropy", operation<qutlass_cross_entropy>},
};

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  for (const auto& entry : kFunctions)
    exports.Set(entry.name, Napi::Function::New(env, entry.function, entry.name));
  Addon::Init(env, exports);
  return exports;
}

}  // namespace

Napi::Value make_error(Napi::Env env, qutlass_status status, const char* text) {
  return env.GetInstanceData<Addon>()->NewError(env, status, text);
}

void throw_status(Napi::Env env, qutlass_status status, const char* text) {
  throw Napi::Error(env, make_error(env, status, text ? text : qutlass_last_error()));
}

void throw_argument(Napi::Env env, size_t index, const char* expected) {
  const std::string text = "argument " + std::to_string(index) + " of the native call: expected " + expected;
  throw_status(env, QUTLASS_E_ARGUMENT, text.c_str());
}

NODE_API_MODULE(qutlass, initialize)

}  // namespace qutlass::node
