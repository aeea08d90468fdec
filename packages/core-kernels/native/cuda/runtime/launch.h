// Launches of kernels that may start before the kernel ahead of them in the stream has ended.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "cuda_stream.h"

namespace qutlass::cuda {

struct LaunchShape {
  dim3 blocks;
  dim3 threads;
  size_t shared_bytes = 0;
};

// For a kernel of which every thread calls wait_for_dependency() (atoms/dependent_launch.cuh) before it
// touches memory that kernels ahead of it write, or writes memory that they read. Waiting holds for all of
// them: the kernel ahead has waited for the one ahead of it. A failure is reported by CudaStream::run.
template <typename... Parameters>
void launch_dependent(cudaStream_t stream, const cudaDeviceProp& device, void (*kernel)(Parameters...),
                      const LaunchShape& shape, std::type_identity_t<Parameters>... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.blocks;
  config.blockDim = shape.threads;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = device.major >= 9 ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, arguments...);
}

// Enqueues an operation that is one such kernel.
template <typename... Parameters>
void run_dependent(qutlass_stream& stream, const char* operation, std::initializer_list<const void*> operands,
                   void (*kernel)(Parameters...), const LaunchShape& shape,
                   std::type_identity_t<Parameters>... arguments) {
  CudaStream& cuda = cuda_stream(stream);
  cuda.run(operation, operands, [&](cudaStream_t handle) {
    launch_dependent(handle, cuda.cuda_device().properties(), kernel, shape, arguments...);
  });
}

}  // namespace qutlass::cuda
