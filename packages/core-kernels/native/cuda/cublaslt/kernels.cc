// cuBLASLt writes the result itself where that takes one rounding of what the contract says; else it writes
// sums, in float32 or int32, and a kernel of ours ends the product.
#include "cuda/cublaslt/kernels.h"

#include <optional>

#include "cuda/cublaslt/finish.h"
#include "cuda/cublaslt/plan.h"
#include "cuda/gemm/kernels.h"
#include "cuda_stream.h"
#include "numerics/quantized.h"
#include "reference/matmul_problem.h"
#include "scratch.h"

namespace qutlass::cuda::cublaslt {
namespace {

enum class Family { kHalf, kF32, kFp8, kFp8Fast, kInt8 };

constexpr bool is_fp8(Family family) { return family == Family::kFp8 || family == Family::kFp8Fast; }

// Sums of this many products of int8 codes, each at most 2^14, stay below 2^31.
constexpr int64_t kMaxInt8K = (1 << 17) - 1;
// The first version with a scale for each row of fp8 codes.
constexpr size_t kRowScalesVersion = 120900;
// Of rows and pointers, as TMA and the tensor cores read them.
constexpr int64_t kFp8Alignment = 16;
constexpr int64_t kInt8Alignment = 4;

cudaDataType_t type_of(int32_t dtype) {
  switch (dtype) {
    case QUTLASS_BF16: return CUDA_R_16BF;
    case QUTLASS_F16: return CUDA_R_16F;
    default: return CUDA_R_32F;
  }
}

cudaDataType_t type_of(const qutlass_operand& operand) {
  if (!operand.is_quantized) return type_of(operand.dense.dtype);
  switch (operand.quantized.format.element) {
    case QUTLASS_E4M3: return CUDA_R_8F_E4M3;
    case QUTLASS_E5M2: return CUDA_R_8F_E5M2;
    default: return CUDA_R_8I;
  }
}

const void* data_of(const qutlass_operand& operand) {
  return operand.is_quantized ? operand.quantized.codes : operand.dense.data;
}

const void* scales_of(const qutlass_operand& operand) {
  return operand.is_quantized ? operand.quantized.scales : nullptr;
}

// ---- what cuBLASLt can do

void require_dense(const qutlass_matmul_problem& problem, bool f32) {
  const qutlass_operand &a = problem.a, &b = problem.b;
  const bool dense = !a.is_quantized && !b.is_quantized && a.dense.dtype == b.dense.dtype;
  if (!dense || (a.dense.dtype == QUTLASS_F32) != f32) {
    fail(QUTLASS_E_UNSUPPORTED, "a and b: this kernel multiplies two dense matrices in %s",
         f32 ? "f32" : "bf16, or two in f16");
  }
  if (problem.a_rotation.kind != QUTLASS_ROTATION_IDENTITY)
    fail(QUTLASS_E_UNSUPPORTED, "a_rotation: this kernel does not rotate a");
}

// One scale for the matrix, or one for each row.
bool is_scaled_by_row(const qutlass_quantized& q) {
  return scale_cols(q) == 1 && (scale_rows(q) == 1 || scale_rows(q) == q.rows);
}

bool is_fp8(const qutlass_operand& operand) {
  if (!operand.is_quantized) return false;
  const qutlass_quantized& q = operand.quantized;
  const bool element = q.format.element == QUTLASS_E4M3 || q.format.element == QUTLASS_E5M2;
  return element && q.format.scale_dtype == QUTLASS_F32 && is_scaled_by_row(q);
}

bool is_symmetric_int8(const qutlass_operand& operand) {
  if (!operand.is_quantized) return false;
  const qutlass_quantized& q = operand.quantized;
  return q.format.element == QUTLASS_INT8 && !q.format.zero_point && is_scaled_by_row(q);
}

void require_aligned(const qutlass_matmul_problem& problem, int64_t alignment) {
  const int64_t n = operand_rows(problem.b), k = operand_cols(problem.a);
  if (n % alignment != 0 || k % alignment != 0) {
    fail(QUTLASS_E_UNSUPPORTED, "a and b: cuBLASLt expects N and K to be multiples of %d, got %lld and %lld",
         static_cast<int>(alignment), static_cast<long long>(n), static_cast<long long>(k));
  }
  for (const qutlass_operand* operand : {&problem.a, &problem.b}) {
    if (alignment_of(operand->quantized.codes) >= alignment) continue;
    fail(QUTLASS_E_UNSUPPORTED, "a and b: cuBLASLt expects codes at multiples of %d bytes, got %p",
         static_cast<int>(alignment), operand->quantized.codes);
  }
}

void require_fp8(const qutlass_matmul_problem& problem) {
  if (!is_fp8(problem.a) || !is_fp8(problem.b)) {
    fail(QUTLASS_E_UNSUPPORTED,
         "a and b: this kernel multiplies fp8 matrices with one scale, or one for each row");
  }
  if (type_of(problem.a) == CUDA_R_8F_E5M2 && type_of(problem.b) == CUDA_R_8F_E5M2)
    fail(QUTLASS_E_UNSUPPORTED, "a and b: cuBLASLt multiplies e5m2 with e4m3 only, got e5m2 twice");
  require_aligned(problem, kFp8Alignment);
}

void require_int8(const qutlass_matmul_problem& problem) {
  if (!is_symmetric_int8(problem.a) || !is_symmetric_int8(problem.b))
    fail(QUTLASS_E_UNSUPPORTED, "a and b: this kernel multiplies int8 matrices without zero points");
  require_aligned(problem, kInt8Alignment);
  if (operand_cols(problem.a) > kMaxInt8K) {
    fail(QUTLASS_E_UNSUPPORTED, "a and b: expected K up to %lld, whose sums fit in int32, got %lld",
         static_cast<long long>(kMaxInt8K), static_cast<long long>(operand_cols(problem.a)));
  }
}

void require_family(const qutlass_matmul_problem& problem, Family family) {
  require_extents(problem);
  switch (family) {
    case Family::kHalf: return require_dense(problem, false);
    case Family::kF32: return require_dense(problem, true);
    case Family::kFp8:
    case Family::kFp8Fast: return require_fp8(problem);
    case Family::kInt8: return require_int8(problem);
  }
}

// ---- how it does it

// A multiplication for cuBLASLt. Where `sums` is set, out is working memory, and `finish` comes after.
struct Call {
  Shape shape;
  Pointers pointers;
  float alpha;
  bool sums;
};

Call make_call(const qutlass_matmul_problem& problem, Family family) {
  Call call{};
  call.pointers.a = data_of(problem.a);
  call.pointers.b = data_of(problem.b);
  Shape& shape = call.shape;
  shape.m = operand_rows(problem.a);
  shape.n = operand_rows(problem.b);
  shape.k = operand_cols(problem.a);
  shape.a = type_of(problem.a);
  shape.b = type_of(problem.b);
  shape.fast = family == Family::kFp8Fast;
  shape.a_alignment = alignment_of(call.pointers.a);
  shape.b_alignment = alignment_of(call.pointers.b);
  shape.bias_alignment = shape.out_alignment = alignment_of(nullptr);
  return call;
}

Call call_for_sums(const qutlass_matmul_problem& problem, Family family) {
  Call call = make_call(problem, family);
  call.shape.out = family == Family::kInt8 ? CUDA_R_32I : CUDA_R_32F;
  call.alpha = 1;
  call.sums = true;
  return call;
}

// The scales that cuBLASLt can apply, nothing if it cannot.
std::optional<Scales> scales_for(const qutlass_matmul_problem& problem, Family family,
                                 const Library& library) {
  if (!is_fp8(family)) return Scales::kNone;
  const qutlass_quantized &a = problem.a.quantized, &b = problem.b.quantized;
  const int64_t a_count = scale_rows(a), b_count = scale_rows(b);
  if (a_count == 1 && b_count == 1) return Scales::kTensor;
  if (a_count != a.rows || b_count != b.rows || library.version < kRowScalesVersion) return std::nullopt;
  const bool aligned = alignment_of(a.scales) >= kFp8Alignment && alignment_of(b.scales) >= kFp8Alignment;
  return aligned ? std::optional(Scales::kRow) : std::nullopt;
}

// The call that writes the result itself, if it can be expressed.
std::optional<Call> call_for_result(const qutlass_matmul_problem& problem, Family family,
                                    const Library& library) {
  const int32_t out = problem.out.dtype;
  const void* bias = problem.bias.data;
  // What cuBLASLt multiplies by 0 it may not read, and so miss its NaN.
  if (family == Family::kInt8 || problem.alpha_pointer || problem.alpha == 0) return std::nullopt;
  const bool writes = out == QUTLASS_F32 || is_fp8(family) || type_of(out) == type_of(problem.a);
  // A bias has the dtype of the result; of float32 results of fp8 it would be bfloat16.
  const bool adds = !bias || (problem.bias.dtype == out && !(is_fp8(family) && out == QUTLASS_F32));
  if (!writes || !adds) return std::nullopt;
  if (is_fp8(family) && alignment_of(problem.out.data) < kFp8Alignment) return std::nullopt;
  const std::optional<Scales> scales = scales_for(problem, family, library);
  if (!scales) return std::nullopt;

  Call call = make_call(problem, family);
  call.alpha = problem.alpha;
  call.pointers.out = problem.out.data;
  call.pointers.bias = bias;
  call.pointers.a_scales = scales_of(problem.a);
  call.pointers.b_scales = scales_of(problem.b);
  call.shape.out = type_of(out);
  call.shape.scales = *scales;
  call.shape.bias = bias != nullptr;
  call.shape.bias_alignment = alignment_of(bias);
  call.shape.out_alignment = alignment_of(problem.out.data);
  return call;
}

struct Route {
  Call call;
  Plan* plan;
};

// Throws QUTLASS_E_UNSUPPORTED if this GPU, the current one, has no algorithm for either way.
Route find_route(const qutlass_matmul_problem& problem, Family family, int ordinal) {
  const Library& library = *cublaslt::library();
  if (const auto call = call_for_result(problem, family, library)) {
    const PlanOrRefusal& found = find_plan(library, ordinal, call->shape, call->pointers);
    if (found.plan) return {*call, found.plan.get()};
  }
  const Call call = call_for_sums(problem, family);
  const PlanOrRefusal& found = find_plan(library, ordinal, call.shape, call.pointers);
  if (!found.plan) fail(QUTLASS_E_UNSUPPORTED, "a and b: %s", found.refusal.c_str());
  return {call, found.plan.get()};
}

template <Family kFamily>
void require_supported(const qutlass_matmul_problem& problem) {
  require_family(problem, kFamily);
  // The stream is not known yet; it belongs to the GPU that this thread uses, or to one like it.
  int ordinal = 0;
  check(cudaGetDevice(&ordinal), "asking for the current GPU");
  find_route(problem, kFamily, ordinal);
}

template <Family kFamily>
void enqueue(qutlass_stream& stream, const qutlass_matmul_problem& problem) {
  CudaStream& cuda = cuda_stream(stream);
  const int ordinal = cuda.cuda_device().ordinal();
  use_device(ordinal);
  Route route = find_route(problem, kFamily, ordinal);
  Call& call = route.call;
  const size_t sum_bytes = static_cast<size_t>(call.shape.m * call.shape.n) * sizeof(float);
  const DeviceScratch sums(stream.device, call.sums ? sum_bytes : 0);
  const DeviceScratch workspace(stream.device, route.plan->workspace_bytes());
  if (call.sums) call.pointers.out = sums.as<void>();
  cuda.run(
      "matmul",
      {call.pointers.a, call.pointers.b, scales_of(problem.a), scales_of(problem.b), problem.alpha_pointer,
       problem.bias.data, problem.out.data, sums.as<void>(), workspace.as<void>()},
      [&](cudaStream_t handle) {
        route.plan->run(call.pointers, call.alpha, workspace.as<void>(), handle);
        if (call.sums) finish(problem, call.pointers.out, handle);
      });
}

// Less precise than the contract of unasked kernels: the fp8 tensor cores of Hopper truncate within an
// instruction, so also without fast accumulation.
constexpr int32_t kOnRequest = 1;

// peak_fraction and bandwidth_fraction: roughly, on an H100 or H200 with large matrices; "f16" stands for
// bf16 too, at the same rate. cuBLASLt has many tiles; these are among the smaller ones.
const Kernel kKernels[] = {
    {{"cublaslt.bf16", "cuda", "sm_80, cuBLASLt", "f32", 64, 64, 64, 0, 0.8, "f16", 0, 0.8, 0, 0},
     require_supported<Family::kHalf>,
     nullptr,
     one_by_one<enqueue<Family::kHalf>>,
     library_absence},
    {{"cublaslt.f32", "cuda", "sm_80, cuBLASLt", "f32", 64, 64, 16, 0, 0.79, "f32", 0, 0.8, 0, 0},
     require_supported<Family::kF32>,
     nullptr,
     one_by_one<enqueue<Family::kF32>>,
     library_absence},
    {{"cublaslt.fp8", "cuda", "sm_89, cuBLASLt", "f22", 64, 64, 128, 0, 0.67, "fp8", 0, 0.75, 0, kOnRequest},
     require_supported<Family::kFp8>,
     nullptr,
     one_by_one<enqueue<Family::kFp8>>,
     library_absence},
    {{"cublaslt.fp8.fast", "cuda", "sm_89, cuBLASLt", "f22", 64, 64, 128, 0, 0.8, "fp8", 0, 0.75, 0,
      kOnRequest},
     require_supported<Family::kFp8Fast>,
     nullptr,
     one_by_one<enqueue<Family::kFp8Fast>>,
     library_absence},
    {{"cublaslt.int8", "cuda", "sm_80, cuBLASLt", "i32", 64, 64, 128, 0, 0.53, "int8", 0, 0.65, 0, 0},
     require_supported<Family::kInt8>,
     nullptr,
     one_by_one<enqueue<Family::kInt8>>,
     library_absence},
};

}  // namespace

std::span<const Kernel> kernels() { return kKernels; }

}  // namespace qutlass::cuda::cublaslt
