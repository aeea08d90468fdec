// Devices, streams and graphs of the CPU. A stream is a queue with a thread of its own; kernels run on it in
// order and spread over the device's thread pool.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "memory.h"
#include "qutlass.h"
#include "status.h"
#include "thread_pool.h"

namespace qutlass {

// What a kernel may use while it runs.
struct Context {
  ThreadPool& threads;
  MemoryPool& memory;
};

using Work = std::function<void(Context&)>;

// Recorded work. Holds a reference to every block that it touches.
class Recording {
 public:
  explicit Recording(qutlass_device& device) : device_(device) {}
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording();

  void add(std::initializer_list<const void*> operands, Work work);
  void replay(Context& context) const;
  qutlass_device& device() const { return device_; }
  int64_t size() const { return static_cast<int64_t>(nodes_.size()); }

 private:
  qutlass_device& device_;
  std::vector<Work> nodes_;
  std::vector<void*> retained_;
};

struct Signal {
  std::mutex mutex;
  std::condition_variable changed;
  bool set = false;
};

}  // namespace qutlass

struct qutlass_device {
  explicit qutlass_device(int threads) : pool(threads), context{pool, memory} {}

  qutlass::MemoryPool memory;
  qutlass::ThreadPool pool;
  qutlass::Context context;
  std::mutex mutex;
  std::set<qutlass_stream*> streams;
};

struct qutlass_stream {
  explicit qutlass_stream(qutlass_device& device);
  ~qutlass_stream();

  // Runs the work after all earlier work, recorded or not.
  void enqueue(qutlass::Work work);
  // As enqueue, or records the work while the stream is captured. `operands` are the pointers that it
  // touches.
  void launch(std::initializer_list<const void*> operands, qutlass::Work work);
  // Throws QUTLASS_E_CAPTURE if the stream is being captured.
  void require_not_capturing(const char* operation) const;
  void wait();
  // The first failure since the last call, as status and text.
  std::pair<qutlass_status, std::string> take_failure();
  bool busy();

  qutlass_device& device;
  std::shared_ptr<qutlass::Recording> capture;

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable idle_;
  std::deque<qutlass::Work> queue_;
  bool running_ = false;
  bool stopping_ = false;
  qutlass_status failure_ = QUTLASS_OK;
  std::string failure_text_;
  std::thread thread_;
};

struct qutlass_event {
  std::shared_ptr<qutlass::Signal> signal;
};

struct qutlass_graph {
  std::shared_ptr<qutlass::Recording> recording;
};
