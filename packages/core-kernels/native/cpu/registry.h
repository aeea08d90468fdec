// A matrix multiplication kernel as the registry knows it.
#pragma once

#include <span>
#include <string>

#include "device.h"
#include "qutlass.h"

namespace qutlass {

struct Kernel {
  qutlass_kernel_info info;  // `available` is filled in when asked
  // Throws QUTLASS_E_UNSUPPORTED with the reason if the kernel cannot run a valid problem.
  void (*require_supported)(const qutlass_matmul_problem& problem);
  // On the CPU: runs a valid, supported problem whose rotation has been applied.
  void (*run)(Context& context, const qutlass_matmul_problem& problem);
  // On other devices: enqueues valid, supported problems, none of which reads the result of another, in as
  // few launches as it takes.
  void (*enqueue)(qutlass_stream& stream, std::span<const qutlass_matmul_problem> problems) = nullptr;
  // Why this machine lacks what the kernel needs beside its instruction set; empty, or null, if it does not.
  std::string (*absence)() = nullptr;
  // Whether `enqueue` quantizes the A of a problem that asks for it; else, or if null, A comes quantized.
  bool (*quantizes_a)(const qutlass_matmul_problem& problem) = nullptr;
};

// `enqueue` of a kernel that takes problems one by one.
template <auto* kEnqueue>
void one_by_one(qutlass_stream& stream, std::span<const qutlass_matmul_problem> problems) {
  for (const qutlass_matmul_problem& problem : problems) kEnqueue(stream, problem);
}

// The first of the CPU's kernels, which are listed best first, that takes a valid problem.
const Kernel& first_cpu_kernel(const qutlass_matmul_problem& problem);

// Enqueues the work of a product on a stream of the CPU; offsets: another operand, or null.
void launch_product(qutlass_stream& stream, const qutlass_matmul_problem& problem, const void* offsets,
                    Work work);

// The kernels for CUDA devices; none in a build without nvcc.
std::span<const Kernel> cuda_kernels();
// Whether this machine has a GPU with the instruction set of the kernel.
bool is_cuda_kernel_available(const Kernel& kernel);

}  // namespace qutlass
