// Which instruction sets the kernels may use on this machine.
#pragma once

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>

namespace qutlass {

// Each holds those before it.
enum class Isa { kGeneric, kAvx2, kAvx512, kAvx512Bf16 };

inline constexpr const char* kIsaNames[] = {"generic", "avx2", "avx512", "avx512bf16"};

// avx512 is what Ice Lake, Zen 4 and their successors have: VNNI and VBMI besides the sets of Skylake-X.
// avx512bf16 is what Zen 4 and Sapphire Rapids have.
inline Isa find_isa() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return Isa::kGeneric;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
  if (!avx512) return Isa::kAvx2;
  return __builtin_cpu_supports("avx512bf16") ? Isa::kAvx512Bf16 : Isa::kAvx512;
#else
  return Isa::kGeneric;
#endif
}

// The instruction set of the kernels: what the machine has, or less, by the environment variable QUTLASS_ISA
// (one of kIsaNames), so that all kernels can be tested on one machine.
inline Isa isa() {
  static const Isa chosen = [] {
    const Isa found = find_isa();
    const char* limit = std::getenv("QUTLASS_ISA");
    for (size_t i = 0; limit && i < std::size(kIsaNames); ++i) {
      if (std::strcmp(limit, kIsaNames[i]) == 0 && static_cast<Isa>(i) < found) return static_cast<Isa>(i);
    }
    return found;
  }();
  return chosen;
}

// Whether the kernels of an instruction set may run; the empty name stands for generic.
inline bool has_isa(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(isa()); ++i) {
    if (name == kIsaNames[i]) return true;
  }
  return name.empty();
}

inline const char* isa_name() { return kIsaNames[static_cast<size_t>(isa())]; }

}  // namespace qutlass
