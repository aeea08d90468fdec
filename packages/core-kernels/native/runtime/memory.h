// The memory pool of a device: blocks by size class, counted references, statistics.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "qutlass.h"

namespace qutlass {

// Where a pool gets its blocks from.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  // A block of this many bytes, at least 64-byte aligned, or null.
  virtual void* take(size_t bytes) = 0;
  virtual void give_back(void* block) noexcept = 0;
};

class MemoryPool {
 public:
  // Takes over the source.
  explicit MemoryPool(std::unique_ptr<MemorySource> source) : source_(std::move(source)) {}
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool();

  // 64-byte aligned, with one reference. Throws QUTLASS_E_OUT_OF_MEMORY.
  void* allocate(size_t bytes);
  // Adds a reference to the block that contains the pointer; the start of that block, or null if it is not
  // ours.
  void* retain(const void* pointer);
  // Drops a reference to the block that starts here.
  void release(void* block) noexcept;
  // Whether a block starts here.
  bool owns(const void* block) const;

  void trim() noexcept;
  qutlass_memory_stats stats() const;

 private:
  struct Block {
    size_t bytes;
    int64_t references;
  };

  void release_cached() noexcept;

  std::unique_ptr<MemorySource> source_;
  mutable std::mutex mutex_;
  std::map<uintptr_t, Block> blocks_;            // in use
  std::map<size_t, std::vector<void*>> cached_;  // by size class
  qutlass_memory_stats stats_{};
};

// Working memory of one kernel run, from the pool.
class Scratch {
 public:
  Scratch(MemoryPool& pool, size_t bytes) : pool_(pool), data_(bytes ? pool.allocate(bytes) : nullptr) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (data_) pool_.release(data_);
  }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  MemoryPool& pool_;
  void* data_;
};

}  // namespace qutlass
