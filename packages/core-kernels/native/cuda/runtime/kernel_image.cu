// What this library holds for a GPU: machine code, PTX, of which generation.
#include <string>

#include "cuda/operations.h"
#include "error.h"
#include "kernel_limits.h"
#include "launch.h"

namespace qutlass::cuda {
namespace {

__global__ void probe_kernel() {}

// "sm_80, sm_90": every kernel is built for the same list.
std::string built_for() {
  constexpr int kArchitectures[] = {__CUDA_ARCH_LIST__};
  std::string text;
  for (const int architecture : kArchitectures) {
    text += (text.empty() ? "sm_" : ", sm_") + std::to_string(architecture / 10);
  }
  return text;
}

}  // namespace

bool has_dependent_launch() { return has_clusters(kernel_attributes<probe_kernel>()); }

void require_kernel_image(const cudaDeviceProp& properties) {
  cudaFuncAttributes attributes{};
  const cudaError_t error = cudaFuncGetAttributes(&attributes, probe_kernel);
  if (error == cudaSuccess) return;
  cudaGetLastError();  // the failure is this call's, not that of the next operation
  if (error != cudaErrorNoKernelImageForDevice && error != cudaErrorInvalidDeviceFunction &&
      error != cudaErrorUnsupportedPtxVersion) {
    check(error, "looking for kernels");
  }
  fail(QUTLASS_E_NO_DEVICE,
       "device: expected a GPU that this library has kernels for (%s), got %s with compute capability %d.%d",
       built_for().c_str(), properties.name, properties.major, properties.minor);
}

}  // namespace qutlass::cuda
