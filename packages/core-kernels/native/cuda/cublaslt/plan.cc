#include "cuda/cublaslt/plan.h"

#include <algorithm>
#include <map>
#include <type_traits>

#include "status.h"

namespace qutlass::cuda::cublaslt {
namespace {

constexpr uint64_t kMaxWorkspaceBytes = 32 << 20;
constexpr uint32_t kMaxAlignment = 256;

void require(const Library& library, Status status, const char* step) {
  if (status == Status::kSuccess) return;
  fail(QUTLASS_E_UNSUPPORTED, "cuBLASLt %s cannot do this on this GPU: %s from %s",
       version_text(library).c_str(), library.status_name(status), step);
}

// What create(T**, arguments...) makes.
template <typename T, typename... Arguments>
std::unique_ptr<T, Status (*)(T*)> make(const Library& library, const char* step,
                                        Status (*create)(T**, Arguments...), Status (*destroy)(T*),
                                        std::type_identity_t<Arguments>... arguments) {
  T* made = nullptr;
  require(library, create(&made, arguments...), step);
  return {made, destroy};
}

struct Gpu {
  Context* context = nullptr;
  std::map<Shape, PlanOrRefusal> plans;
};

}  // namespace

uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | kMaxAlignment;
  return static_cast<uint32_t>(address & -address);
}

// Row-major matrices are column-major ones transposed, so the product is computed as out^T [N, M] = B A^T:
// B, K x N in columns, is transposed, A, K x M in columns, is not. It is also the only order for codes of 8
// bits.
Plan::Plan(const Library& library, Context* context, const Shape& shape, const Pointers& like)
    : library_(library),
      context_(context),
      shape_(shape),
      operation_(make(library, "cublasLtMatmulDescCreate", library.matmul_desc_create,
                      library.matmul_desc_destroy,
                      shape.out == CUDA_R_32I ? ComputeType::kI32 : ComputeType::kF32,
                      shape.out == CUDA_R_32I ? CUDA_R_32I : CUDA_R_32F)),
      a_(make(library, "cublasLtMatrixLayoutCreate", library.layout_create, library.layout_destroy, shape.a,
              static_cast<uint64_t>(shape.k), static_cast<uint64_t>(shape.m), shape.k)),
      b_(make(library, "cublasLtMatrixLayoutCreate", library.layout_create, library.layout_destroy, shape.b,
              static_cast<uint64_t>(shape.k), static_cast<uint64_t>(shape.n), shape.k)),
      out_(make(library, "cublasLtMatrixLayoutCreate", library.layout_create, library.layout_destroy,
                shape.out, static_cast<uint64_t>(shape.n), static_cast<uint64_t>(shape.m), shape.n)) {
  set(MatmulAttribute::kTransposeA, kTranspose);
  if (shape.fast) set(MatmulAttribute::kFastAccumulate, int8_t{1});
  if (shape.bias) set(MatmulAttribute::kEpilogue, kEpilogueBias);
  if (shape.scales == Scales::kRow) {
    set(MatmulAttribute::kScaleModeA, kOneScalePerRow);
    set(MatmulAttribute::kScaleModeB, kOneScalePerRow);
  }
  set_pointers(like);
  choose_algorithm();
}

void Plan::set(MatmulAttribute attribute, const auto& value) {
  require(library_, library_.matmul_desc_set(operation_.get(), attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
}

void Plan::set_pointers(const Pointers& pointers) {
  if (shape_.bias) set(MatmulAttribute::kBiasPointer, pointers.bias);
  if (shape_.scales == Scales::kNone) return;
  set(MatmulAttribute::kScalePointerA, pointers.b_scales);
  set(MatmulAttribute::kScalePointerB, pointers.a_scales);
}

void Plan::choose_algorithm() {
  const auto preference = make(library_, "cublasLtMatmulPreferenceCreate", library_.preference_create,
                               library_.preference_destroy);
  const auto prefer = [&](PreferenceAttribute attribute, const auto& value) {
    require(library_, library_.preference_set(preference.get(), attribute, &value, sizeof value),
            "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(PreferenceAttribute::kMaxWorkspaceBytes, kMaxWorkspaceBytes);
  prefer(PreferenceAttribute::kReductionSchemes, kReduceInComputeType);
  prefer(PreferenceAttribute::kMinAlignmentABytes, shape_.b_alignment);
  prefer(PreferenceAttribute::kMinAlignmentBBytes, shape_.a_alignment);
  prefer(PreferenceAttribute::kMinAlignmentCBytes, shape_.out_alignment);
  prefer(PreferenceAttribute::kMinAlignmentDBytes, shape_.out_alignment);
  int returned = 0;
  const Status status =
      library_.algorithm_heuristic(context_, operation_.get(), b_.get(), a_.get(), out_.get(), out_.get(),
                                   preference.get(), 1, &best_, &returned);
  require(library_, status, "cublasLtMatmulAlgoGetHeuristic");
  require(library_, returned == 1 ? best_.state : Status::kNotSupported, "cublasLtMatmulAlgoGetHeuristic");
}

void Plan::run(const Pointers& pointers, float alpha, void* workspace, cudaStream_t stream) {
  const int32_t integer_alpha = 1;
  const bool integers = shape_.out == CUDA_R_32I;
  const void* factor = integers ? static_cast<const void*>(&integer_alpha) : &alpha;
  const int32_t zero = 0;  // the bits of 0.0f too
  std::lock_guard lock(mutex_);
  set_pointers(pointers);
  const Status status = library_.matmul(context_, operation_.get(), factor, pointers.b, b_.get(), pointers.a,
                                        a_.get(), &zero, pointers.out, out_.get(), pointers.out, out_.get(),
                                        &best_.algorithm, workspace, best_.workspace_bytes, stream);
  if (status == Status::kSuccess) return;
  if (status == Status::kAllocFailed) fail(QUTLASS_E_OUT_OF_MEMORY, "matmul: cuBLASLt is out of memory");
  if (status == Status::kNotSupported) require(library_, status, "cublasLtMatmul");
  fail(QUTLASS_E_CUDA, "matmul: %s from cublasLtMatmul", library_.status_name(status));
}

const PlanOrRefusal& find_plan(const Library& library, int ordinal, const Shape& shape,
                               const Pointers& like) {
  static std::mutex mutex;
  // Never destroyed, as the library may be unloaded before static objects are.
  static auto& gpus = *new std::map<int, Gpu>;
  std::lock_guard lock(mutex);
  Gpu& gpu = gpus[ordinal];
  if (const auto found = gpu.plans.find(shape); found != gpu.plans.end()) return found->second;
  if (!gpu.context) {
    const Status status = library.create(&gpu.context);
    if (status != Status::kSuccess)
      fail(QUTLASS_E_CUDA, "matmul: %s from cublasLtCreate", library.status_name(status));
  }
  PlanOrRefusal entry;
  try {
    entry.plan = std::make_unique<Plan>(library, gpu.context, shape, like);
  } catch (const Error& error) {
    if (error.status() != QUTLASS_E_UNSUPPORTED) throw;
    entry.refusal = error.what();
  }
  return gpu.plans.emplace(shape, std::move(entry)).first->second;
}

}  // namespace qutlass::cuda::cublaslt
