// A matrix multiplication kernel as the registry knows it.
#pragma once

#include "device.h"
#include "qutlass.h"

namespace qutlass {

struct Kernel {
  qutlass_kernel_info info;  // `available` is filled in when asked
  // Throws QUTLASS_E_UNSUPPORTED with the reason if the kernel cannot run a valid problem.
  void (*require_supported)(const qutlass_matmul_problem& problem);
  // Runs a valid, supported problem whose rotation has been applied.
  void (*run)(Context& context, const qutlass_matmul_problem& problem);
};

}  // namespace qutlass
