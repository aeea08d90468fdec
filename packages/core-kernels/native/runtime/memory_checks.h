// What memory checkers are told of a pool, which reuses blocks and gives more than was asked for: without it
// they see one large block that is always in use. Nothing in other builds; see QUTLASS_SANITIZE in
// CMakeLists.txt.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#elif defined(QUTLASS_VALGRIND)
#include <valgrind/memcheck.h>
#endif

namespace qutlass {

// These bytes may be written from now on, and read after that.
inline void allow_access([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(data, bytes);
#elif defined(QUTLASS_VALGRIND)
  VALGRIND_MAKE_MEM_UNDEFINED(data, bytes);
#endif
}

// Any access to these bytes is an error from now on.
inline void forbid_access([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(data, bytes);
#elif defined(QUTLASS_VALGRIND)
  VALGRIND_MAKE_MEM_NOACCESS(data, bytes);
#endif
}

}  // namespace qutlass
