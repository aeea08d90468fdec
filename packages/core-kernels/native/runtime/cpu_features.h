// Which instruction sets the kernels may use on this machine.
#pragma once

#include <cstdlib>
#include <cstring>

namespace qutlass {

// QUTLASS_ISA=generic turns the AVX2 kernels off, so that both can be tested on one machine.
inline bool has_avx2() {
#if defined(__x86_64__)
  static const bool available = [] {
    const char* forced = std::getenv("QUTLASS_ISA");
    if (forced && std::strcmp(forced, "generic") == 0) return false;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  }();
  return available;
#else
  return false;
#endif
}

inline const char* isa_name() { return has_avx2() ? "avx2" : "generic"; }

}  // namespace qutlass
