// Takes the place of native/cuda in a build without nvcc.
#include "cpu/registry.h"
#include "cuda_device.h"

namespace qutlass {

int count_gpus() { fail(QUTLASS_E_NO_DEVICE, "this build has no CUDA kernels"); }

std::unique_ptr<qutlass_device> open_cuda_device(const char* name) {
  fail(QUTLASS_E_NO_DEVICE, "device \"%s\": this build has no CUDA kernels", name);
}

std::span<const Kernel> cuda_kernels() { return {}; }

bool is_cuda_kernel_available(const Kernel&) { return false; }

}  // namespace qutlass
