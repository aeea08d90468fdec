// The kernels for CUDA devices, best first.
#include "cpu/registry.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <vector>

#include "cuda/cublaslt/kernels.h"
#include "cuda/gemm/kernels.h"
#include "cuda/skinny/skinny.h"
#include "numerics/quantized.h"
#include "reference/matmul_problem.h"

namespace qutlass {
namespace {

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
  const auto m = static_cast<long long>(operand_rows(problem.a));
  if (m > cuda::kGemvMaxM) {
    fail(QUTLASS_E_UNSUPPORTED, "a: expected at most %d rows for this kernel, got %lld", cuda::kGemvMaxM, m);
  }
}

void require_gemv(const qutlass_matmul_problem& problem) {
  require_no_integer_pair(problem);
  require_few_rows(problem);
}

void require_i32_gemv(const qutlass_matmul_problem& problem) {
  require_integer_pair(problem);
  require_few_rows(problem);
  if (scale_cols(problem.a.quantized) > 1)
    fail(QUTLASS_E_UNSUPPORTED, "a: this kernel expects one scale for a row");
}

template <Launch kLaunch>
void enqueue(qutlass_stream& stream, const qutlass_matmul_problem& problem) {
  cuda::enqueue_matmul(stream, problem, kLaunch);
}

// peak_fraction: roughly what mma.sync reaches of the tensor cores of an H100, or wgmma while its operands
// are decoded. decode_per_clock: by counting instructions, four to a code for tiles in shared memory and two
// in cuda.gemv, with 128 lanes to issue from. A tile is the smallest that the kernel uses; where it takes all
// of M at once, its rows are those for which it decodes B once.
const Kernel kKernels[] = {
    {{"cuda.skinny", "cuda", "sm_80", "f32", 64, 16, 128, 0, 0.5, "bf16", 64, 0.85, cuda::kSkinnyMaxM, 0},
     [](const qutlass_matmul_problem& problem) {
       require_no_integer_pair(problem);
       cuda::require_skinny(problem);
     },
     nullptr,
     cuda::enqueue_skinny,
     nullptr,
     cuda::skinny_quantizes_a},
    {{"cuda.i32.skinny", "cuda", "sm_80", "i32", cuda::kNarrowMaxM, 16, 128, 0, 0.5, "int8", 128, 0.85,
      cuda::kRepeatedMaxM, 0},
     [](const qutlass_matmul_problem& problem) {
       require_integer_pair(problem);
       cuda::require_integer_skinny(problem);
     },
     nullptr,
     cuda::enqueue_integer_skinny,
     nullptr,
     cuda::integer_skinny_quantizes_a},
    {{"cuda.gemv", "cuda", "sm_80", "f32", cuda::kGemvMaxM, 16, 32, 0, 0.5, "f32", 64, 0.6, cuda::kGemvMaxM,
      0},
     require_gemv,
     nullptr,
     one_by_one<enqueue<cuda::launch_gemv>>,
     nullptr,
     cuda::gemv_quantizes_a},
    {{"cuda.i32.gemv", "cuda", "sm_80", "i32", cuda::kGemvMaxM, 16, 32, 0, 0.5, "f32", 64, 0.66,
      cuda::kGemvMaxM, 0},
     require_i32_gemv,
     nullptr,
     one_by_one<enqueue<cuda::launch_i32_gemv>>,
     nullptr,
     cuda::i32_gemv_quantizes_a},
    {{"cuda.i32.mma", "cuda", "sm_80", "i32", 64, 64, 64, 0, 0.06, "int8", 32, 0.5, 0, 0},
     require_integer_pair,
     nullptr,
     one_by_one<enqueue<cuda::launch_i32_mma>>},
    {{"cuda.f32.mma", "cuda", "sm_80", "f32", 64, 64, 32, 0, 0.1, "bf16", 32, 0.5, 0, 0},
     require_no_integer_pair,
     nullptr,
     one_by_one<enqueue<cuda::launch_f32_mma>>},
    {{"cuda.reference", "cuda", "sm_80", "f64", 1, 1, 1, 0, 0.004, "f32", 0, 0.1, 0, 0},
     cuda::require_extents,
     nullptr,
     one_by_one<enqueue<cuda::launch_reference>>},
};

// The newest compute capability among the GPUs, 90 for 9.0; 0 if there is none.
int newest_capability() {
  static const int newest = [] {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
    cudaGetLastError();  // reported here, not by the next operation
    int found = 0;
    for (int ordinal = 0; ordinal < count; ++ordinal) {
      int major = 0, minor = 0;
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal);
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal);
      found = std::max(found, major * 10 + minor);
    }
    return found;
  }();
  return newest;
}

}  // namespace

std::span<const Kernel> cuda_kernels() {
  // Our own first: the order decides between equal predictions.
  static const std::vector<Kernel> all = [] {
    std::vector<Kernel> list(std::begin(kKernels), std::end(kKernels));
    const auto others = cuda::cublaslt::kernels();
    list.insert(list.end(), others.begin(), others.end());
    return list;
  }();
  return all;
}

bool is_cuda_kernel_available(const Kernel& kernel) {
  int required = 0;
  std::sscanf(kernel.info.requires_isa, "sm_%d", &required);
  return newest_capability() >= required;
}

}  // namespace qutlass
