// The entrance to the CUDA backend, which a build without nvcc lacks.
#pragma once

#include <memory>

#include "device.h"

namespace qutlass {

// At least one. Throws QUTLASS_E_NO_DEVICE with the reason if there is none.
int count_gpus();

// name: "cuda" or "cuda:<index>". Throws QUTLASS_E_NO_DEVICE with the reason: no CUDA kernels in this build,
// no NVIDIA driver, one that is too old, no visible device, a GPU that no kernel was built for.
std::unique_ptr<qutlass_device> open_cuda_device(const char* name);

}  // namespace qutlass
