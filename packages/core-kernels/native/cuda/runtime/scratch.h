// Working memory on the device for what one operation enqueues.
#pragma once

#include "device.h"

namespace qutlass::cuda {

// Taken from the pool of the device, and given back when the work enqueued by the end of its life has run. A
// graph holds it if it is among the operands of CudaStream::run.
class DeviceScratch {
 public:
  DeviceScratch(qutlass_device& device, size_t bytes)
      : device_(device), data_(bytes ? device.allocate(bytes) : nullptr) {}
  DeviceScratch(const DeviceScratch&) = delete;
  DeviceScratch& operator=(const DeviceScratch&) = delete;
  ~DeviceScratch() {
    if (data_) device_.release_later(data_);
  }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  qutlass_device& device_;
  void* data_;
};

}  // namespace qutlass::cuda
