#include "thread_pool.h"

#include <algorithm>
#include <chrono>
#include <exception>

namespace qutlass {

struct ThreadPool::Region {
  int64_t count;
  int64_t grain;
  const std::function<void(int64_t, int64_t)>& body;
  std::atomic<int64_t> next{0};
  std::mutex failure_mutex{};
  std::exception_ptr failure{};
};

namespace {

// After a region a worker looks for the next one for so long before it sleeps, as the thread that began a
// region does for its end. A wake-up costs about as much, and would be more than the short kernels of a
// decode step take, whose regions are tens of microseconds apart. An idle pool does not spin.
constexpr std::chrono::microseconds kSpinTime{100};

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Until it is over, or the time is.
template <typename IsOver>
void spin(const IsOver& is_over) {
  using Clock = std::chrono::steady_clock;
  constexpr int kLooksPerClock = 16;
  const auto end = Clock::now() + kSpinTime;
  do {
    for (int look = 0; look < kLooksPerClock; ++look) {
      if (is_over()) return;
      pause();
    }
  } while (Clock::now() < end);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::run_pieces(Region& region) {
  for (;;) {
    const int64_t begin = region.next.fetch_add(region.grain);
    if (begin >= region.count) return;
    try {
      region.body(begin, std::min(begin + region.grain, region.count));
    } catch (...) {
      std::lock_guard lock(region.failure_mutex);
      if (!region.failure) region.failure = std::current_exception();
    }
  }
}

void ThreadPool::work() {
  uint64_t seen = 0;
  for (;;) {
    spin([&] { return generation_.load(std::memory_order_acquire) != seen; });
    Region* region = nullptr;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      seen = generation_.load();
      if (stopping_) return;
      region = region_;
      if (!region) continue;  // the others finished it before this thread woke
      ++busy_;
    }
    run_pieces(*region);
    {
      std::lock_guard lock(mutex_);
      if (--busy_ == 0) done_.notify_all();
    }
  }
}

void ThreadPool::parallel_for(int64_t count, int64_t grain,
                              const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (workers_.empty() || count <= grain) {
    for (int64_t begin = 0; begin < count; begin += grain) body(begin, std::min(begin + grain, count));
    return;
  }
  std::lock_guard turn(region_mutex_);
  Region region{count, grain, body};
  {
    std::lock_guard lock(mutex_);
    region_ = &region;
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  run_pieces(region);
  {
    std::lock_guard lock(mutex_);
    region_ = nullptr;  // no thread may join any more; wait for those inside, which are at their last pieces
  }
  const auto is_done = [&] { return busy_.load(std::memory_order_acquire) == 0; };
  spin(is_done);
  {
    std::unique_lock lock(mutex_);
    done_.wait(lock, is_done);
  }
  if (region.failure) std::rethrow_exception(region.failure);
}

}  // namespace qutlass
