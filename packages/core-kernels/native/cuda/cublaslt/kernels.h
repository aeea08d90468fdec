// cuBLASLt's matrix multiplications as kernels of the registry.
#pragma once

#include <span>

#include "cpu/registry.h"

namespace qutlass::cuda::cublaslt {

std::span<const Kernel> kernels();

}  // namespace qutlass::cuda::cublaslt
