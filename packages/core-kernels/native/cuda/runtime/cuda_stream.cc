#include "cuda_stream.h"

#include <cstring>
#include <future>
#include <utility>

namespace qutlass::cuda {
namespace {

class CudaEvent final : public Event {
 public:
  explicit CudaEvent(EventPointer event) : event_(std::move(event)) {}
  cudaEvent_t handle() const { return event_.get(); }
  double seconds_since(Event& start) override {
    float milliseconds = 0;
    const cudaError_t error =
        cudaEventElapsedTime(&milliseconds, static_cast<CudaEvent&>(start).handle(), handle());
    if (error == cudaErrorNotReady) {
      cudaGetLastError();  // the failure is this call's, not that of the next operation
      fail(QUTLASS_E_ARGUMENT, "start and end: expected events that their streams have passed");
    }
    check(error, "measuring the time between events");
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  EventPointer event_;
};

class CudaRecording final : public Recording {
 public:
  using Recording::Recording;
  ~CudaRecording() override {
    if (executable_) cudaGraphExecDestroy(executable_);
  }

  void instantiate(cudaGraph_t graph) {
    const cudaError_t error = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    check(error, "instantiating a graph");
  }
  cudaGraphExec_t executable() const { return executable_; }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace

CudaStream::CudaStream(CudaDevice& device) : qutlass_stream(device) {
  use_device(device.ordinal());
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
  thread_ = std::thread([this] { complete(); });
}

CudaStream::~CudaStream() {
  detach();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  use_device(cuda_device().ordinal());
  cudaStreamSynchronize(stream_);
  cudaStreamDestroy(stream_);
}

EventPointer CudaStream::mark(bool timing) {
  use_device(cuda_device().ordinal());
  cudaEvent_t event = nullptr;
  // Blocking: a thread that waits for the event sleeps.
  const unsigned flags = cudaEventBlockingSync | (timing ? 0u : cudaEventDisableTiming);
  check(cudaEventCreateWithFlags(&event, flags), "creating an event");
  EventPointer pointer(event, cudaEventDestroy);
  check(cudaEventRecord(event, stream_), "recording an event");
  return pointer;
}

void CudaStream::after(Completion fn) {
  EventPointer event = mark();
  {
    std::lock_guard lock(mutex_);
    completions_.emplace_back(std::move(event), std::move(fn));
  }
  changed_.notify_one();
}

void CudaStream::complete() {
  use_device(cuda_device().ordinal());
  for (;;) {
    std::pair<EventPointer, Completion> next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !completions_.empty(); });
      if (completions_.empty()) return;
      next = std::move(completions_.front());
      completions_.pop_front();
    }
    next.second(cudaEventSynchronize(next.first.get()));
  }
}

void CudaStream::launch(std::initializer_list<const void*>, Work) {
  fail(QUTLASS_E_UNSUPPORTED, "stream: this operation has no CUDA kernel");
}

void CudaStream::wait() {
  // Not cudaStreamSynchronize: reads are over when the thread of the stream has filled the host memory.
  std::promise<cudaError_t> done;
  after([&](cudaError_t error) { done.set_value(error); });
  check(done.get_future().get(), "synchronize");
}

void CudaStream::call(std::function<void(qutlass_status, const char*)> fn) {
  after([fn = std::move(fn)](cudaError_t error) {
    const auto status = error == cudaSuccess ? QUTLASS_OK : QUTLASS_E_CUDA;
    fn(status, error == cudaSuccess ? "" : cudaGetErrorString(error));
  });
}

void CudaStream::write(void* target, const void* host, size_t bytes) {
  auto staged = std::make_shared<Scratch>(cuda_device().pinned(), bytes);
  std::memcpy(staged->as<void>(), host, bytes);
  use_device(cuda_device().ordinal());
  check(cudaMemcpyAsync(target, staged->as<void>(), bytes, cudaMemcpyHostToDevice, stream_), "write");
  after([staged](cudaError_t) {});
}

void CudaStream::read(const void* source, void* host, size_t bytes) {
  auto staged = std::make_shared<Scratch>(cuda_device().pinned(), bytes);
  use_device(cuda_device().ordinal());
  check(cudaMemcpyAsync(staged->as<void>(), source, bytes, cudaMemcpyDeviceToHost, stream_), "read");
  after([staged, host, bytes](cudaError_t error) {
    if (error == cudaSuccess) std::memcpy(host, staged->as<void>(), bytes);
  });
}

std::shared_ptr<Event> CudaStream::record(bool timing) { return std::make_shared<CudaEvent>(mark(timing)); }

void CudaStream::wait_for(std::shared_ptr<Event> event) {
  use_device(cuda_device().ordinal());
  check(cudaStreamWaitEvent(stream_, static_cast<CudaEvent&>(*event).handle(), 0), "waiting for an event");
}

void CudaStream::begin_capture() {
  auto recording = std::make_shared<CudaRecording>(cuda_device());
  use_device(cuda_device().ordinal());
  capture_start_ = mark();
  // Relaxed: memory may be allocated while a graph is captured.
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "capturing a graph");
  capture = std::move(recording);
}

std::shared_ptr<Recording> CudaStream::end_capture() {
  auto recording = std::static_pointer_cast<CudaRecording>(std::exchange(capture, nullptr));
  capture_start_ = nullptr;
  cudaGraph_t graph = nullptr;
  const cudaError_t error = cudaStreamEndCapture(stream_, &graph);
  if (error != cudaSuccess) {
    cudaGetLastError();  // the failure is the capture's, not that of the next operation
    fail(QUTLASS_E_CAPTURE, "capturing a graph: %s", cudaGetErrorString(error));
  }
  recording->instantiate(graph);
  return recording;
}

void CudaStream::replay(std::shared_ptr<Recording> recording) {
  use_device(cuda_device().ordinal());
  // A graph destroyed while it runs is freed by CUDA when it has run, and its memory by release_later.
  check(cudaGraphLaunch(static_cast<CudaRecording&>(*recording).executable(), stream_), "launching a graph");
}

}  // namespace qutlass::cuda
