// The kernels for CUDA devices, best first.
#include "cpu/registry.h"

#include <iterator>

#include "cuda/gemm/kernels.h"
#include "reference/matmul_problem.h"

namespace qutlass {
namespace {

using cuda::ExpandA;
using cuda::Launch;

void require_integer_pair(const qutlass_matmul_problem& problem) {
  cuda::require_extents(problem);
  if (!is_integer_pair(problem))
    fail(QUTLASS_E_UNSUPPORTED, "a and b: this kernel multiplies int8 and int4 matrices");
}

void require_no_integer_pair(const qutlass_matmul_problem& problem) {
  cuda::require_extents(problem);
  if (is_integer_pair(problem)) {
    fail(QUTLASS_E_UNSUPPORTED,
         "a and b: int8 and int4 matrices are multiplied by kernels with integer accumulators");
  }
}

void require_few_rows(const qutlass_matmul_problem& problem) {
  require_no_integer_pair(problem);
  const auto m = static_cast<long long>(operand_rows(problem.a));
  if (m > cuda::kGemvMaxM) {
    fail(QUTLASS_E_UNSUPPORTED, "a: expected at most %d rows for this kernel, got %lld", cuda::kGemvMaxM, m);
  }
}

template <Launch kLaunch, ExpandA kExpand = ExpandA::kRotated>
void enqueue(qutlass_stream& stream, const qutlass_matmul_problem& problem) {
  cuda::enqueue_matmul(stream, problem, kExpand, kLaunch);
}

// peak_fraction: roughly what mma.sync reaches of the tensor cores of an H100. decode_per_clock: by counting
// instructions, four to a code for tiles in shared memory and two in cuda.gemv, with 128 lanes to issue from.
// A tile is the smallest that the kernel uses.
const Kernel kKernels[] = {
    {{"cuda.gemv", "cuda", "sm_80", "f32", 1, 16, 32, 0, 0.5, "f32", 64, 0.6, cuda::kGemvMaxM},
     require_few_rows,
     nullptr,
     enqueue<cuda::launch_gemv, ExpandA::kRotatedOrQuantized>},
    {{"cuda.i32.mma", "cuda", "sm_80", "i32", 64, 64, 64, 0, 0.27, "int8", 32, 0.5, 0},
     require_integer_pair,
     nullptr,
     enqueue<cuda::launch_i32_mma>},
    {{"cuda.f32.mma", "cuda", "sm_80", "f32", 64, 64, 32, 0, 0.27, "bf16", 32, 0.5, 0},
     require_no_integer_pair,
     nullptr,
     enqueue<cuda::launch_f32_mma>},
    {{"cuda.reference", "cuda", "sm_80", "f64", 1, 1, 1, 0, 0.004, "f32", 0, 0.1, 0},
     cuda::require_extents,
     nullptr,
     enqueue<cuda::launch_reference>},
};

// Compute capability 8.0 or newer.
bool has_gpu() {
  static const bool found = [] {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
    cudaGetLastError();  // reported here, not by the next operation
    for (int ordinal = 0; ordinal < count; ++ordinal) {
      int major = 0;
      const cudaError_t error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal);
      if (error == cudaSuccess && major >= 8) return true;
    }
    return false;
  }();
  return found;
}

}  // namespace

std::span<const Kernel> cuda_kernels() { return kKernels; }

bool is_cuda_kernel_available(const Kernel&) { return has_gpu(); }

}  // namespace qutlass
