// Loops that the compiler turns into vector code, for the instruction set of the machine.
#pragma once

#include "cpu_features.h"

namespace qutlass {
namespace {  // a copy for each file

// All that a body calls is inlined into it: no function that other code may use as well is compiled for an
// instruction set that the machine could lack. Multiplications and additions stay apart (no "fma"), so
// results are the same in all sets.
template <typename Body>
[[gnu::flatten, gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,prefer-vector-width=512")]] void
run_avx512(const Body& body) {
  body();
}

template <typename Body>
[[gnu::flatten, gnu::target("avx2")]] void run_avx2(const Body& body) {
  body();
}

template <typename Body>
inline void vectorized(const Body& body) {
  if (isa() >= Isa::kAvx512) return run_avx512(body);
  if (isa() == Isa::kAvx2) return run_avx2(body);
  body();
}

}  // namespace
}  // namespace qutlass
