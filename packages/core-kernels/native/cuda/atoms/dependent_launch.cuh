// Programmatic dependent launch (sm_90): a kernel that starts while the one before it ends. PTX ISA,
// "griddepcontrol".
#pragma once

namespace qutlass::cuda {

// Lets the next kernel of the stream start as soon as all blocks have got here.
__device__ inline void launch_dependents() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Waits until the kernel before has ended and its writes are seen; nothing it writes may be read before, and
// nothing it reads may be written.
__device__ inline void wait_for_dependency() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Both, for kernels that have nothing to do before.
__device__ inline void await_dependency() {
  launch_dependents();
  wait_for_dependency();
}

}  // namespace qutlass::cuda
