#include "memory.h"

#include <algorithm>

#include "memory_checks.h"
#include "status.h"

namespace qutlass {
namespace {

constexpr size_t kAlignment = 64;

// Eight classes per power of two: at most 1/8 of a block is unused, and blocks are found again.
size_t size_class(size_t bytes) {
  size_t step = kAlignment;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

}  // namespace

MemoryPool::~MemoryPool() {
  trim();
  for (auto& [address, block] : blocks_) source_->give_back(reinterpret_cast<void*>(address));
}

void* MemoryPool::allocate(size_t bytes) {
  if (bytes == 0) fail(QUTLASS_E_SHAPE, "bytes: expected a positive size, got 0");
  // Rounding a size near SIZE_MAX up would overflow; no machine has half of the address space.
  if (bytes > SIZE_MAX / 2) fail(QUTLASS_E_OUT_OF_MEMORY, "out of memory: %zu bytes asked for", bytes);
  const size_t rounded = size_class(bytes);
  std::lock_guard lock(mutex_);
  void* data = nullptr;
  if (auto entry = cached_.find(rounded); entry != cached_.end() && !entry->second.empty()) {
    data = entry->second.back();
    entry->second.pop_back();
  } else {
    data = source_->take(rounded);
    if (!data) {
      // What is cached in other sizes may be what is missing.
      release_cached();
      data = source_->take(rounded);
    }
    if (!data) {
      fail(QUTLASS_E_OUT_OF_MEMORY, "out of memory: %zu bytes asked for, %lld bytes of this device in use",
           bytes, static_cast<long long>(stats_.allocated));
    }
    stats_.reserved += static_cast<int64_t>(rounded);
  }
  blocks_.emplace(reinterpret_cast<uintptr_t>(data), Block{rounded, 1});
  stats_.allocated += static_cast<int64_t>(rounded);
  stats_.peak = std::max(stats_.peak, stats_.allocated);
  stats_.allocations += 1;
  allow_access(data, bytes);
  forbid_access(static_cast<char*>(data) + bytes, rounded - bytes);
  return data;
}

void* MemoryPool::retain(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  std::lock_guard lock(mutex_);
  auto entry = blocks_.upper_bound(address);
  if (entry == blocks_.begin()) return nullptr;
  --entry;
  if (address >= entry->first + entry->second.bytes) return nullptr;
  entry->second.references += 1;
  return reinterpret_cast<void*>(entry->first);
}

void MemoryPool::release(void* block) noexcept {
  std::lock_guard lock(mutex_);
  auto entry = blocks_.find(reinterpret_cast<uintptr_t>(block));
  if (entry == blocks_.end() || --entry->second.references > 0) return;
  const size_t bytes = entry->second.bytes;
  blocks_.erase(entry);
  stats_.allocated -= static_cast<int64_t>(bytes);
  stats_.allocations -= 1;
  forbid_access(block, bytes);
  try {
    cached_[bytes].push_back(block);
  } catch (...) {
    source_->give_back(block);
    stats_.reserved -= static_cast<int64_t>(bytes);
  }
}

bool MemoryPool::owns(const void* block) const {
  std::lock_guard lock(mutex_);
  return blocks_.contains(reinterpret_cast<uintptr_t>(block));
}

void MemoryPool::trim() noexcept {
  std::lock_guard lock(mutex_);
  release_cached();
}

void MemoryPool::release_cached() noexcept {
  for (auto& [bytes, list] : cached_) {
    for (void* data : list) source_->give_back(data);
    stats_.reserved -= static_cast<int64_t>(bytes * list.size());
  }
  cached_.clear();
}

qutlass_memory_stats MemoryPool::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace qutlass
