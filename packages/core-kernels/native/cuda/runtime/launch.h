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
  unsigned cluster = 1;  // blocks, which are neighbours; more than one needs has_clusters (kernel_limits.h)
};

// Whether kernels of this library can wait on the current GPU: PTX for generations before sm_90 has no such
// instruction, wherever it runs.
bool has_dependent_launch();

// For a kernel of which every thread calls wait_for_dependency() (atoms/dependent_launch.cuh) before it
// touches memory that kernels ahead of it write, or writes memory that they read. Waiting holds for all of
// them: the kernel ahead has waited for the one ahead of it. A failure is reported by CudaStream::run.
template <typename... Parameters>
void launch_dependent(cudaStream_t stream, const cudaDeviceProp& device, void (*kernel)(Parameters...),
                      const LaunchShape& shape, std::type_identity_t<Parameters>... arguments) {
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = shape.cluster;
  attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.blocks;
  config.blockDim = shape.threads;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  const bool early = device.major >= 9 && has_dependent_launch();
  config.numAttrs = !early ? 0 : shape.cluster == 1 ? 1 : 2;
  cudaLaunchKernelEx(&config, kernel, arguments...);
}

template <typename... Parameters>
void launch_dependent(CudaStream& stream, void (*kernel)(Parameters...), const LaunchShape& shape,
                      std::type_identity_t<Parameters>... arguments) {
  launch_dependent(stream.handle(), stream.cuda_device().properties(), kernel, shape, arguments...);
}

// Enqueues an operation that is one such kernel.
template <typename... Parameters>
void run_dependent(qutlass_stream& stream, const char* operation, std::initializer_list<const void*> operands,
                   void (*kernel)(Parameters...), const LaunchShape& shape,
                   std::type_identity_t<Parameters>... arguments) {
  CudaStream& cuda = cuda_stream(stream);
  cuda.run(operation, operands, [&](cudaStream_t) { launch_dependent(cuda, kernel, shape, arguments...); });
}

}  // namespace qutlass::cuda
