// The threads that kernels of a CPU device share.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace qutlass {

class ThreadPool {
 public:
  // threads: in all, the calling thread included.
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) over [0, count) in pieces of at most `grain`, on all threads. Which thread takes a
  // piece is not fixed, so a result must not depend on it. The first exception of a body is thrown again
  // here.
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

 private:
  struct Region;

  void work();
  static void run_pieces(Region& region);

  std::vector<std::thread> workers_;
  std::mutex region_mutex_;  // one region at a time; streams take turns
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  Region* region_ = nullptr;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> busy_{0};  // threads inside of the region, changed under mutex_
  bool stopping_ = false;
};

}  // namespace qutlass
