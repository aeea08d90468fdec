#include "cuda_device.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cuda/operations.h"
#include "cuda_stream.h"

namespace qutlass::cuda {
namespace {

class DeviceMemory final : public MemorySource {
 public:
  explicit DeviceMemory(int ordinal) : ordinal_(ordinal) {}
  void* take(size_t bytes) override {
    use_device(ordinal_);
    void* block = nullptr;
    if (cudaMalloc(&block, bytes) == cudaSuccess) return block;
    cudaGetLastError();  // reported by the caller, not by the next operation
    return nullptr;
  }
  void give_back(void* block) noexcept override {
    cudaSetDevice(ordinal_);
    cudaFree(block);
  }

 private:
  int ordinal_;
};

class PinnedMemory final : public MemorySource {
 public:
  void* take(size_t bytes) override {
    void* block = nullptr;
    if (cudaHostAlloc(&block, bytes, cudaHostAllocPortable) == cudaSuccess) return block;
    cudaGetLastError();
    return nullptr;
  }
  void give_back(void* block) noexcept override { cudaFreeHost(block); }
};

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Why there is no device to open; the count if there is one.
int require_devices(const char* name) {
  if (void* driver = dlopen("libcuda.so.1", RTLD_LAZY)) {
    dlclose(driver);
  } else {
    fail(QUTLASS_E_NO_DEVICE, "device \"%s\": no NVIDIA driver is installed (libcuda.so.1 not found)", name);
  }
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    fail(QUTLASS_E_NO_DEVICE, "device \"%s\": the NVIDIA driver supports CUDA %s, expected %s or newer", name,
         version_text(driver).c_str(), version_text(runtime).c_str());
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    fail(QUTLASS_E_NO_DEVICE, "device \"%s\": no GPU is visible (CUDA_VISIBLE_DEVICES%s%s)", name,
         visible ? "=" : " is not set", visible ? visible : "");
  }
  if (error != cudaSuccess) fail(QUTLASS_E_NO_DEVICE, "device \"%s\": %s", name, cudaGetErrorString(error));
  return count;
}

int parse_ordinal(const char* name) {
  if (std::strcmp(name, "cuda") == 0) return 0;
  char* end = nullptr;
  const long value = std::strncmp(name, "cuda:", 5) == 0 ? std::strtol(name + 5, &end, 10) : -1;
  if (!end || end == name + 5 || *end != '\0' || value < 0 || value > 1024) {
    fail(QUTLASS_E_NO_DEVICE, "name: expected \"cuda\" or \"cuda:<index>\", got \"%s\"", name);
  }
  return static_cast<int>(value);
}

}  // namespace

void check(cudaError_t error, const char* operation) {
  if (error == cudaSuccess) return;
  if (error == cudaErrorMemoryAllocation) fail(QUTLASS_E_OUT_OF_MEMORY, "%s: out of GPU memory", operation);
  fail(QUTLASS_E_CUDA, "%s: %s (%s)", operation, cudaGetErrorString(error), cudaGetErrorName(error));
}

void use_device(int ordinal) {
  // cudaSetDevice costs more than the comparison, and most programs use one device.
  thread_local int current = -1;
  if (current == ordinal) return;
  check(cudaSetDevice(ordinal), "choosing the device");
  current = ordinal;
}

CudaDevice::CudaDevice(int ordinal)
    : qutlass_device(DeviceKind::kCuda, std::make_unique<DeviceMemory>(ordinal)),
      ordinal_(ordinal),
      pinned_(std::make_unique<PinnedMemory>()) {
  use_device(ordinal);
  check(cudaGetDeviceProperties(&properties_, ordinal), "reading the device's properties");
  operations = &kOperations;
}

CudaDevice::~CudaDevice() { collect(true); }

qutlass_device_info CudaDevice::info() const {
  qutlass_device_info info{};
  std::snprintf(info.name, sizeof info.name, "%.127s", properties_.name);
  std::snprintf(info.isa, sizeof info.isa, "sm_%d%d", properties_.major, properties_.minor);
  int driver = 0, clock_khz = 0, memory_khz = 0, bus_bits = 0;
  cudaDriverGetVersion(&driver);
  std::snprintf(info.driver, sizeof info.driver, "%s", version_text(driver).c_str());
  info.threads = properties_.multiProcessorCount;
  info.memory_bytes = static_cast<int64_t>(properties_.totalGlobalMem);
  info.cache_bytes = properties_.l2CacheSize;
  cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, ordinal_);
  cudaDeviceGetAttribute(&memory_khz, cudaDevAttrMemoryClockRate, ordinal_);
  cudaDeviceGetAttribute(&bus_bits, cudaDevAttrGlobalMemoryBusWidth, ordinal_);
  info.clock_hz = clock_khz * 1e3;
  info.memory_bandwidth = 2.0 * memory_khz * 1e3 * bus_bits / 8;  // two transfers a clock
  return info;
}

std::unique_ptr<qutlass_stream> CudaDevice::make_stream() {
  // Blocks are recycled in the order of a single stream until there is a second one.
  use_device(ordinal_);
  check(cudaDeviceSynchronize(), "creating a stream");
  return std::make_unique<CudaStream>(*this);
}

void* CudaDevice::allocate(size_t bytes) {
  collect(false);
  try {
    return memory.allocate(bytes);
  } catch (const Error& error) {
    // Blocks that work still uses may be what is missing.
    if (error.status() != QUTLASS_E_OUT_OF_MEMORY || !collect(true)) throw;
    return memory.allocate(bytes);
  }
}

void CudaDevice::upload(void* block, const void* host, size_t bytes) {
  // Of a single stream, the block may come from work that is not finished.
  CudaStream* stream = nullptr;
  EventPointer unfinished;
  {
    std::lock_guard lock(mutex);
    if (streams.size() == 1) {
      auto& only = cuda_stream(**streams.begin());
      if (only.capture) {
        unfinished = only.capture_start();
      } else {
        stream = &only;
      }
    }
  }
  if (stream) {
    stream->write(block, host, bytes);
    return;
  }
  use_device(ordinal_);
  if (unfinished) check(cudaEventSynchronize(unfinished.get()), "upload");
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  cudaError_t error = cudaMemcpy(block, host, bytes, cudaMemcpyHostToDevice);
  // A small copy may be on its way still, and the streams of the library do not wait for it.
  if (error == cudaSuccess) error = cudaStreamSynchronize(cudaStreamLegacy);
  cudaThreadExchangeStreamCaptureMode(&mode);
  check(error, "upload");
}

void CudaDevice::release_later(void* block) {
  std::lock_guard lock(mutex);
  // On a single stream whoever gets the block uses it after the work enqueued so far.
  if (streams.size() <= 1) {
    memory.release(block);
    return;
  }
  Retired retired{block, {}};
  for (qutlass_stream* stream : streams) {
    auto& cuda = cuda_stream(*stream);
    if (cuda.capture) {
      // What is being recorded holds its own references; the work before it does not.
      retired.uses.push_back(cuda.capture_start());
    } else if (cudaStreamQuery(cuda.handle()) == cudaErrorNotReady) {
      retired.uses.push_back(cuda.mark());
    }
  }
  if (retired.uses.empty()) {
    memory.release(block);
  } else {
    retired_.push_back(std::move(retired));
  }
}

bool CudaDevice::collect(bool wait) {
  std::lock_guard lock(mutex);
  const bool any = !retired_.empty();
  retired_.remove_if([&](const Retired& retired) {
    for (const EventPointer& event : retired.uses) {
      if (wait) cudaEventSynchronize(event.get());
      if (cudaEventQuery(event.get()) == cudaErrorNotReady) return false;
    }
    memory.release(retired.block);
    return true;
  });
  return any;
}

}  // namespace qutlass::cuda

namespace qutlass {

int count_gpus() { return cuda::require_devices("cuda"); }

std::unique_ptr<qutlass_device> open_cuda_device(const char* name) {
  const int ordinal = cuda::parse_ordinal(name);
  const int count = cuda::require_devices(name);
  if (ordinal >= count) {
    fail(QUTLASS_E_NO_DEVICE, "device \"%s\": expected an index below %d, the number of visible GPUs", name,
         count);
  }
  auto device = std::make_unique<cuda::CudaDevice>(ordinal);
  cuda::require_kernel_image(device->properties());
  return device;
}

}  // namespace qutlass
