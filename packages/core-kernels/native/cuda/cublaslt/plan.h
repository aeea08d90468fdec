// What is found out once about a matrix multiplication and kept: cuBLASLt's descriptors and algorithm.
#pragma once

#include <compare>
#include <memory>
#include <mutex>
#include <string>

#include "cuda/cublaslt/library.h"

namespace qutlass::cuda::cublaslt {

enum class Scales : int32_t { kNone, kTensor, kRow };

struct Pointers {
  const void* a;
  const void* b;
  const void* a_scales;  // float32, as Shape::scales says
  const void* b_scales;
  const void* bias;  // in the dtype of out, or null
  void* out;
};

// out[m, n] = alpha * sum_k A[m, k] B[n, k] + bias[n], row-major. Multiplications of equal shape share a
// plan.
struct Shape {
  int64_t m, n, k;
  cudaDataType_t a, b;
  cudaDataType_t out;  // CUDA_R_32I for sums of integers, else a float type
  Scales scales;
  bool bias;
  bool fast;  // fp8 sums stay in the tensor cores
  uint32_t a_alignment, b_alignment, bias_alignment, out_alignment;

  auto operator<=>(const Shape&) const = default;
};

// The largest power of two, up to 256, that divides the address.
uint32_t alignment_of(const void* pointer);

class Plan {
 public:
  // Throws QUTLASS_E_UNSUPPORTED if cuBLASLt has no algorithm. The pointers are examples, not read.
  Plan(const Library& library, Context* context, const Shape& shape, const Pointers& like);

  size_t workspace_bytes() const { return best_.workspace_bytes; }
  // Enqueues the multiplication. alpha is 1 for sums of integers.
  void run(const Pointers& pointers, float alpha, void* workspace, cudaStream_t stream);

 private:
  template <typename T>
  using Owned = std::unique_ptr<T, Status (*)(T*)>;

  void set(MatmulAttribute attribute, const auto& value);
  void set_pointers(const Pointers& pointers);
  void choose_algorithm();

  const Library& library_;
  Context* context_;
  const Shape shape_;
  std::mutex mutex_;  // of the pointers in operation_
  Owned<MatmulDesc> operation_;
  Owned<MatrixLayout> a_, b_, out_;
  HeuristicResult best_{};
};

// A plan, or why there is none.
struct PlanOrRefusal {
  std::unique_ptr<Plan> plan;
  std::string refusal;
};

// The plan of this shape on the GPU `ordinal`, which is the current one. Made by the first call and kept for
// good.
const PlanOrRefusal& find_plan(const Library& library, int ordinal, const Shape& shape, const Pointers& like);

}  // namespace qutlass::cuda::cublaslt
