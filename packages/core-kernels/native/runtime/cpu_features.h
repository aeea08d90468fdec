// Which instruction sets the kernels may use on this machine.
#pragma once

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>

namespace qutlass {

// Each holds those before it.
enum class Isa { kGeneric, kAvx2, kAvx512, kAvx512Bf16, kAmx };

inline constexpr const char* kIsaNames[] = {"generic", "avx2", "avx512", "avx512bf16", "amx"};

// avx512 is what Ice Lake, Zen 4 and their successors have: VNNI and VBMI besides the sets of Skylake-X.
// avx512bf16 is what Zen 4 has, amx (with matrices of int8 and bf16) Sapphire Rapids.
// Linux saves the registers of matrices, 8 KB for each thread, only for processes that ask for it.
inline bool may_use_amx() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

inline Isa find_isa() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return Isa::kGeneric;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
  if (!avx512) return Isa::kAvx2;
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::kAvx512;
  const bool amx = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
                   __builtin_cpu_supports("amx-bf16") && may_use_amx();
  return amx ? Isa::kAmx : Isa::kAvx512Bf16;
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
