// CUDA failures as errors of the library.
#pragma once

#include <cuda_runtime.h>

#include "status.h"

namespace qutlass::cuda {

// Throws QUTLASS_E_OUT_OF_MEMORY or QUTLASS_E_CUDA with the name of the operation and CUDA's own words.
void check(cudaError_t error, const char* operation);

}  // namespace qutlass::cuda
