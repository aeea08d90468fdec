#include "device.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "cpu_features.h"

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

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) {
      const auto colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "unknown processor";
}

}  // namespace

extern "C" {

qutlass_status qutlass_device_open(const char* name, int32_t threads, qutlass_device** device) {
  return guarded([&] {
    if (!name || !device) fail(QUTLASS_E_ARGUMENT, "name and device: expected pointers, got NULL");
    if (std::strcmp(name, "cpu") != 0) {
      fail(QUTLASS_E_NO_DEVICE,
           "name: expected \"cpu\", got \"%s\"; this library holds no kernels for other devices", name);
    }
    if (threads < 0 || threads > 1024) {
      fail(QUTLASS_E_ARGUMENT, "threads: expected 0 to 1024, got %d", threads);
    }
    *device = new qutlass_device(threads ? threads : default_threads());
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
    *info = {};
    std::snprintf(info->name, sizeof info->name, "%s", processor_name().c_str());
    std::snprintf(info->isa, sizeof info->isa, "%s", qutlass::isa_name());
    info->threads = device->pool.threads();
  });
}

qutlass_status qutlass_memory_get_stats(const qutlass_device* device, qutlass_memory_stats* stats) {
  return guarded([&] {
    if (!device || !stats) fail(QUTLASS_E_ARGUMENT, "device and stats: expected pointers, got NULL");
    *stats = device->memory.stats();
  });
}

qutlass_status qutlass_memory_trim(qutlass_device* device) {
  return guarded([&] {
    if (!device) fail(QUTLASS_E_ARGUMENT, "device: expected a device, got NULL");
    device->memory.trim();
  });
}

qutlass_status qutlass_alloc(qutlass_device* device, size_t bytes, void** data) {
  return guarded([&] {
    if (!device || !data) fail(QUTLASS_E_ARGUMENT, "device and data: expected pointers, got NULL");
    *data = device->memory.allocate(bytes);
  });
}

qutlass_status qutlass_alloc_from(qutlass_device* device, const void* host, size_t bytes, void** data) {
  return guarded([&] {
    if (!device || !host || !data)
      fail(QUTLASS_E_ARGUMENT, "device, host and data: expected pointers, got NULL");
    *data = device->memory.allocate(bytes);
    std::memcpy(*data, host, bytes);
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
    // Every busy stream holds the token until it has passed this point; the last one releases the block.
    std::shared_ptr<void> token(data, [device](void* block) { device->memory.release(block); });
    std::lock_guard lock(device->mutex);
    for (qutlass_stream* stream : device->streams) {
      if (stream->busy()) stream->enqueue([token](qutlass::Context&) {});
    }
  });
}

}  // extern "C"
