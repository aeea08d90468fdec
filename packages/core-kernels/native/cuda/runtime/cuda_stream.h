// The CUDA backend: devices, streams, graphs. Work goes straight to a CUDA stream; what has to happen on the
// host after it (filling a JavaScript array, settling a promise) waits on a thread of the stream.
#pragma once

#include <cuda_runtime.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "device.h"
#include "error.h"

namespace qutlass::cuda {

// Makes a device current on this thread.
void use_device(int ordinal);

using EventPointer = std::shared_ptr<CUevent_st>;

class CudaDevice final : public qutlass_device {
 public:
  explicit CudaDevice(int ordinal);
  ~CudaDevice() override;

  qutlass_device_info info() const override;
  std::unique_ptr<qutlass_stream> make_stream() override;
  void* allocate(size_t bytes) override;
  void upload(void* block, const void* host, size_t bytes) override;
  void release_later(void* block) override;
  void release_recorded(void* block) override { release_later(block); }
  void settle() override { collect(false); }

  int ordinal() const { return ordinal_; }
  const cudaDeviceProp& properties() const { return properties_; }
  MemoryPool& pinned() { return pinned_; }
  // Releases the blocks whose last use is over; waits for those in use if told to. Whether there were any.
  bool collect(bool wait);

 private:
  struct Retired {
    void* block;
    std::vector<EventPointer> uses;
  };

  int ordinal_;
  cudaDeviceProp properties_{};
  MemoryPool pinned_;
  std::list<Retired> retired_;  // under `mutex`
};

class CudaStream final : public qutlass_stream {
 public:
  explicit CudaStream(CudaDevice& device);
  ~CudaStream() override;

  // Enqueues a kernel: body(cudaStream_t). `operands` are the pointers that it touches; a graph keeps them
  // alive.
  template <typename Body>
  void run(const char* operation, std::span<const void* const> operands, Body&& body) {
    use_device(cuda_device().ordinal());
    if (capture) {
      capture->blocks.add(operands);
      capture->operations += 1;
    }
    body(stream_);
    check(cudaGetLastError(), operation);
  }
  template <typename Body>
  void run(const char* operation, std::initializer_list<const void*> operands, Body&& body) {
    run(operation, std::span(operands.begin(), operands.size()), std::forward<Body>(body));
  }

  void launch(std::initializer_list<const void*> operands, Work work) override;
  void wait() override;
  void call(std::function<void(qutlass_status, const char*)> fn) override;
  void write(void* target, const void* host, size_t bytes) override;
  void read(const void* source, void* host, size_t bytes) override;
  std::shared_ptr<Event> record(bool timing) override;
  void wait_for(std::shared_ptr<Event> event) override;
  void begin_capture() override;
  std::shared_ptr<Recording> end_capture() override;
  void replay(std::shared_ptr<Recording> recording) override;

  CudaDevice& cuda_device() const { return static_cast<CudaDevice&>(device); }
  cudaStream_t handle() const { return stream_; }
  // The end of the work before the capture that is under way.
  const EventPointer& capture_start() const { return capture_start_; }
  // The point that all work enqueued so far has to reach.
  EventPointer mark(bool timing = false);

 private:
  using Completion = std::function<void(cudaError_t)>;

  // Calls fn on the thread of this stream once the work enqueued so far has run or failed.
  void after(Completion fn);
  void complete();

  cudaStream_t stream_ = nullptr;
  EventPointer capture_start_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<EventPointer, Completion>> completions_;
  bool stopping_ = false;
  std::thread thread_;
};

// The CUDA stream behind a stream of the C ABI, whose device is a CUDA device.
inline CudaStream& cuda_stream(qutlass_stream& stream) { return static_cast<CudaStream&>(stream); }

}  // namespace qutlass::cuda
