// Devices and streams as the C ABI and the operations see them. A backend derives from these: cpu_stream.h,
// cuda/.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "memory.h"
#include "operations.h"
#include "qutlass.h"
#include "status.h"
#include "thread_pool.h"

namespace qutlass {

// What a kernel of the CPU may use while it runs.
struct Context {
  ThreadPool& threads;
  MemoryPool& memory;
};

using Work = std::function<void(Context&)>;

enum class DeviceKind { kCpu, kCuda };

// References of a recording to blocks of its device, dropped together.
class HeldBlocks {
 public:
  explicit HeldBlocks(qutlass_device& device) : device_(device) {}
  HeldBlocks(const HeldBlocks&) = delete;
  HeldBlocks& operator=(const HeldBlocks&) = delete;
  ~HeldBlocks();

  // Pointers into blocks; null and memory of others is allowed.
  void add(std::span<const void* const> pointers);

 private:
  qutlass_device& device_;
  std::vector<void*> blocks_;
};

// A point in the work of a stream.
class Event {
 public:
  virtual ~Event() = default;
  // Seconds since `start`, an event of the same backend. Throws QUTLASS_E_ARGUMENT unless both have been
  // passed.
  virtual double seconds_since(Event& start) = 0;
};

// Recorded work and the memory that it touches.
class Recording {
 public:
  explicit Recording(qutlass_device& device);
  virtual ~Recording() = default;

  qutlass_device& device;
  HeldBlocks blocks;
  int64_t operations = 0;
};

}  // namespace qutlass

struct qutlass_device {
  qutlass_device(qutlass::DeviceKind device_kind, std::unique_ptr<qutlass::MemorySource> source)
      : kind(device_kind), memory(std::move(source)) {}
  virtual ~qutlass_device() = default;

  virtual qutlass_device_info info() const = 0;
  virtual std::unique_ptr<qutlass_stream> make_stream() = 0;
  // A block with one reference, reusing what is free by now. Throws QUTLASS_E_OUT_OF_MEMORY.
  virtual void* allocate(size_t bytes) { return memory.allocate(bytes); }
  // Fills a fresh block, which no work uses yet; done on return.
  virtual void upload(void* block, const void* host, size_t bytes) = 0;
  // Drops a reference to a block when the work enqueued so far, on every stream, has run.
  virtual void release_later(void* block) = 0;
  // Drops a reference that a recording held. Where replays keep the recording itself alive, nothing uses the
  // block any more.
  virtual void release_recorded(void* block) { memory.release(block); }

  // Takes back the blocks whose last use is over by now.
  virtual void settle() {}

  // How operations run on a device other than the CPU; null on the CPU.
  const qutlass::Operations* operations = nullptr;
  const qutlass::DeviceKind kind;
  qutlass::MemoryPool memory;
  std::mutex mutex;
  std::set<qutlass_stream*> streams;
};

struct qutlass_stream {
  explicit qutlass_stream(qutlass_device& owner);
  virtual ~qutlass_stream();

  // Enqueues work of the CPU, or records it. `operands` are the pointers that it touches.
  virtual void launch(std::initializer_list<const void*> operands, qutlass::Work work) = 0;
  virtual void wait() = 0;
  // fn(status, message of a failure) on a thread of the library, after the work enqueued so far.
  virtual void call(std::function<void(qutlass_status, const char*)> fn) = 0;
  virtual void write(void* target, const void* host, size_t bytes) = 0;
  virtual void read(const void* source, void* host, size_t bytes) = 0;
  virtual std::shared_ptr<qutlass::Event> record(bool timing) = 0;
  virtual void wait_for(std::shared_ptr<qutlass::Event> event) = 0;
  virtual void begin_capture() = 0;
  virtual std::shared_ptr<qutlass::Recording> end_capture() = 0;
  virtual void replay(std::shared_ptr<qutlass::Recording> recording) = 0;

  // Throws QUTLASS_E_CAPTURE if the stream is being captured.
  void require_not_capturing(const char* operation) const;

  qutlass_device& device;
  std::shared_ptr<qutlass::Recording> capture;

 protected:
  // Takes the stream off the list of its device; the first thing that a destructor of a backend does.
  void detach();
};

struct qutlass_event {
  std::shared_ptr<qutlass::Event> event;
  const qutlass_device* device;
  bool timing;
};

struct qutlass_graph {
  std::shared_ptr<qutlass::Recording> recording;
};
