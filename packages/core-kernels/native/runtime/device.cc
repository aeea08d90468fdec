#include "device.h"

#include <cstdlib>
#include <cstring>
#include <thread>

#include "cpu_stream.h"
#include "cuda_device.h"

using qutlass::fail;
using qutlass::guarded;

namespace {

int default_threads() {
  if (const char* text = std::getenv("QUTLASS_THREADS")) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > 1024) {
      fail(QUTLASS_E_ARGUMENT, "QUTLASS_THREADS: expected a number from 1 to 1024, got \"%s\"", text);
    }
    return static_cast<int>(value);
  }
  const unsigned count = std::thread::hardware_concurrency();
  return count ? static_cast<int>(count) : 1;
}

}  // namespace

extern "C" {

qutlass_status qutlass_gpu_count(int32_t* count) {
  return guarded([&] {
    if (!count) fail(QUTLASS_E_ARGUMENT, "count: expected a pointer, got NULL");
    *count = qutlass::count_gpus();
  });
}

qutlass_status qutlass_device_open(const char* name, int32_t threads, qutlass_device** device) {
  return guarded([&] {
    if (!name || !device) fail(QUTLASS_E_ARGUMENT, "name and device: expected pointers, got NULL");
    if (threads < 0 || threads > 1024) {
      fail(QUTLASS_E_ARGUMENT, "threads: expected 0 to 1024, got %d", threads);
    }
    if (std::strcmp(name, "cpu") == 0) {
      *device = new qutlass::CpuDevice(threads ? threads : default_threads());
    } else if (std::strncmp(name, "cuda", 4) == 0) {
      *device = qutlass::open_cuda_device(name).release();
    } else {
      fail(QUTLASS_E_NO_DEVICE, "name: expected \"cpu\" or \"cuda:<index>\", got \"%s\"", name);
    }
  });
}

void qutlass_device_close(qutlass_device* device) {
  if (!device) return;
  for (;;) {
    qutlass_stream* stream = nullptr;
    {
      std::lock_guard lock(device->mutex);
      if (!device->streams.empty()) stream = *device->streams.begin();
    }
    if (!stream) break;
    delete stream;
  }
  delete device;
}

qutlass_status qutlass_device_get_info(const qutlass_device* device, qutlass_device_info* info) {
  return guarded([&] {
    if (!device || !info) fail(QUTLASS_E_ARGUMENT, "device and info: expected pointers, got NULL");
    *info = device->info();
  });
}

qutlass_status qutlass_memory_get_stats(qutlass_device* device, qutlass_memory_stats* stats) {
  return guarded([&] {
    if (!device || !stats) fail(QUTLASS_E_ARGUMENT, "device and stats: expected pointers, got NULL");
    device->settle();
    *stats = device->memory.stats();
  });
}

qutlass_status qutlass_memory_trim(qutlass_device* device) {
  return guarded([&] {
    if (!device) fail(QUTLASS_E_ARGUMENT, "device: expected a device, got NULL");
    device->settle();
    device->memory.trim();
  });
}

qutlass_status qutlass_alloc(qutlass_device* device, size_t bytes, void** data) {
  return guarded([&] {
    if (!device || !data) fail(QUTLASS_E_ARGUMENT, "device and data: expected pointers, got NULL");
    *data = device->allocate(bytes);
  });
}

qutlass_status qutlass_alloc_from(qutlass_device* device, const void* host, size_t bytes, void** data) {
  return guarded([&] {
    if (!device || !host || !data)
      fail(QUTLASS_E_ARGUMENT, "device, host and data: expected pointers, got NULL");
    void* block = device->allocate(bytes);
    try {
      device->upload(block, host, bytes);
    } catch (...) {
      device->memory.release(block);
      throw;
    }
    *data = block;
  });
}

qutlass_status qutlass_retain(qutlass_device* device, void* data) {
  return guarded([&] {
    if (!device) fail(QUTLASS_E_ARGUMENT, "device: expected a device, got NULL");
    if (!device->memory.owns(data)) fail(QUTLASS_E_ARGUMENT, "data: expected a pointer from qutlass_alloc");
    device->memory.retain(data);
  });
}

qutlass_status qutlass_free(qutlass_device* device, void* data) {
  return guarded([&] {
    if (!device) fail(QUTLASS_E_ARGUMENT, "device: expected a device, got NULL");
    if (!data) return;
    if (!device->memory.owns(data)) fail(QUTLASS_E_ARGUMENT, "data: expected a pointer from qutlass_alloc");
    device->release_later(data);
  });
}

}  // extern "C"
