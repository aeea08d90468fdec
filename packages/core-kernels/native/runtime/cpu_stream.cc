#include "cpu_stream.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "cpu_features.h"

namespace qutlass {
namespace {

class HostMemory final : public MemorySource {
 public:
  // Blocks that fill huge pages begin with one, and are made of them where the system has any: a product
  // reads a weight faster than the processor looks up pages of 4 KB.
  void* take(size_t bytes) override {
    const bool is_huge = bytes >= kHugePage;
    void* block = nullptr;
    if (posix_memalign(&block, is_huge ? kHugePage : kLine, bytes) != 0) return nullptr;
    if (is_huge) madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }
  void give_back(void* block) noexcept override { std::free(block); }

 private:
  static constexpr size_t kLine = 64, kHugePage = 2 << 20;
};

class CpuEvent final : public Event {
 public:
  void set() {
    std::lock_guard lock(mutex_);
    time_ = Clock::now();
    set_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return set_; });
  }
  double seconds_since(Event& start) override {
    const std::chrono::duration<double> elapsed = time("end") - static_cast<CpuEvent&>(start).time("start");
    return elapsed.count();
  }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point time(const char* name) {
    std::lock_guard lock(mutex_);
    if (!set_) fail(QUTLASS_E_ARGUMENT, "%s: expected an event that its stream has passed", name);
    return time_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
  Clock::time_point time_;
};

class CpuRecording final : public Recording {
 public:
  using Recording::Recording;
  std::vector<Work> nodes;
};

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

CpuDevice::CpuDevice(int threads)
    : qutlass_device(DeviceKind::kCpu, std::make_unique<HostMemory>()),
      pool_(threads),
      context_{pool_, memory} {}

qutlass_device_info CpuDevice::info() const {
  qutlass_device_info info{};
  std::snprintf(info.name, sizeof info.name, "%s", processor_name().c_str());
  std::snprintf(info.isa, sizeof info.isa, "%s", isa_name());
  info.threads = pool_.threads();
  info.memory_bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  info.cache_bytes = std::max({sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE), 0L});
  // In units of 1 kHz; virtual machines often hide it.
  std::ifstream("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq") >> info.clock_hz;
  info.clock_hz *= 1e3;
  return info;
}

std::unique_ptr<qutlass_stream> CpuDevice::make_stream() { return std::make_unique<CpuStream>(*this); }

void CpuDevice::upload(void* block, const void* host, size_t bytes) { std::memcpy(block, host, bytes); }

void CpuDevice::release_later(void* block) {
  // Every busy stream holds the token until it has passed this point; the last one releases the block.
  std::shared_ptr<void> token(block, [this](void* released) { memory.release(released); });
  std::lock_guard lock(mutex);
  for (qutlass_stream* stream : streams) {
    auto* cpu = static_cast<CpuStream*>(stream);
    if (cpu->busy()) cpu->enqueue([token](Context&) {});
  }
}

CpuStream::CpuStream(CpuDevice& device)
    : qutlass_stream(device), context_(device.context()), thread_([this] { work(); }) {}

CpuStream::~CpuStream() {
  detach();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CpuStream::work() {
  for (;;) {
    Work next;
    {
      std::unique_lock lock(mutex_);
      running_ = false;
      if (queue_.empty()) idle_.notify_all();
      changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      next = std::move(queue_.front());
      queue_.pop_front();
      running_ = true;
    }
    try {
      next(context_);
    } catch (...) {
      const qutlass_status status = status_of_current_exception();
      std::lock_guard lock(mutex_);
      if (failure_ == QUTLASS_OK) {
        failure_ = status;
        failure_text_ = qutlass_last_error();
      }
    }
  }
}

void CpuStream::enqueue(Work work) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void CpuStream::launch(std::initializer_list<const void*> operands, Work work) {
  if (!capture) {
    enqueue(std::move(work));
    return;
  }
  capture->blocks.add(std::span(operands.begin(), operands.size()));
  capture->operations += 1;
  static_cast<CpuRecording&>(*capture).nodes.push_back(std::move(work));
}

void CpuStream::wait() {
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return queue_.empty() && !running_; });
  }
  const auto [status, text] = take_failure();
  if (status != QUTLASS_OK) throw Error(status, text);
}

void CpuStream::call(std::function<void(qutlass_status, const char*)> fn) {
  enqueue([this, fn = std::move(fn)](Context&) {
    const auto [status, text] = take_failure();
    fn(status, text.c_str());
  });
}

void CpuStream::write(void* target, const void* host, size_t bytes) {
  if (!busy()) {
    std::memcpy(target, host, bytes);
    return;
  }
  auto staged = std::make_shared<Scratch>(device.memory, bytes);
  std::memcpy(staged->as<void>(), host, bytes);
  enqueue([staged, bytes, target](Context&) { std::memcpy(target, staged->as<void>(), bytes); });
}

void CpuStream::read(const void* source, void* host, size_t bytes) {
  enqueue([source, host, bytes](Context&) { std::memcpy(host, source, bytes); });
}

// Every event has the time; reading the clock costs nothing beside waking the waiters.
std::shared_ptr<Event> CpuStream::record(bool) {
  auto event = std::make_shared<CpuEvent>();
  enqueue([event](Context&) { event->set(); });
  return event;
}

void CpuStream::wait_for(std::shared_ptr<Event> event) {
  enqueue([event = std::static_pointer_cast<CpuEvent>(std::move(event))](Context&) { event->wait(); });
}

void CpuStream::begin_capture() { capture = std::make_shared<CpuRecording>(device); }

std::shared_ptr<Recording> CpuStream::end_capture() { return std::exchange(capture, nullptr); }

void CpuStream::replay(std::shared_ptr<Recording> recording) {
  // The task shares the recording: a graph destroyed meanwhile stays alive until it has run.
  enqueue([recording = std::static_pointer_cast<CpuRecording>(std::move(recording))](Context& context) {
    for (const Work& node : recording->nodes) node(context);
  });
}

std::pair<qutlass_status, std::string> CpuStream::take_failure() {
  std::lock_guard lock(mutex_);
  return {std::exchange(failure_, QUTLASS_OK), std::exchange(failure_text_, {})};
}

bool CpuStream::busy() {
  std::lock_guard lock(mutex_);
  return running_ || !queue_.empty();
}

}  // namespace qutlass
