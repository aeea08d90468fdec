// The CPU backend: a stream is a queue with a thread of its own, and kernels spread over the device's thread
// pool.
#pragma once

#include <condition_variable>
#include <deque>
#include <thread>
#include <utility>

#include "device.h"

namespace qutlass {

class CpuDevice final : public qutlass_device {
 public:
  explicit CpuDevice(int threads);

  qutlass_device_info info() const override;
  std::unique_ptr<qutlass_stream> make_stream() override;
  void upload(void* block, const void* host, size_t bytes) override;
  void release_later(void* block) override;

  Context& context() { return context_; }

 private:
  ThreadPool pool_;
  Context context_;
};

class CpuStream final : public qutlass_stream {
 public:
  explicit CpuStream(CpuDevice& device);
  ~CpuStream() override;

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

  // Runs the work after all earlier work, captured or not.
  void enqueue(Work work);
  bool busy();

 private:
  void work();
  // The first failure since the last call, as status and text.
  std::pair<qutlass_status, std::string> take_failure();

  Context& context_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable idle_;
  std::deque<Work> queue_;
  bool running_ = false;
  bool stopping_ = false;
  qutlass_status failure_ = QUTLASS_OK;
  std::string failure_text_;
  std::thread thread_;
};

}  // namespace qutlass
