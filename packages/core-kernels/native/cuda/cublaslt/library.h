// cuBLASLt without its headers: the shared library is opened when it is first needed, so neither a build nor
// a start needs it. Names and values follow the cuBLASLt documentation; they are those of versions 12 and 13.
#pragma once

#include <cuda_runtime.h>
#include <library_types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace qutlass::cuda::cublaslt {

// Handles and descriptors belong to the library; only pointers to them are seen here.
struct Context;
struct MatmulDesc;
struct MatrixLayout;
struct Preference;

enum class Status : int32_t {
  kSuccess = 0,
  kAllocFailed = 3,
  kNotSupported = 15,
};

enum class ComputeType : int32_t {
  kF32 = 68,  // of float32 operands too: no TF32
  kI32 = 72,
};

enum class MatmulAttribute : int32_t {
  kTransposeA = 3,       // int32_t, 1 for a transposed matrix
  kEpilogue = 7,         // uint32_t, 4 for a bias
  kBiasPointer = 8,      // const void*, one value per row of D
  kScalePointerA = 17,   // const float*
  kScalePointerB = 18,   // const float*
  kFastAccumulate = 25,  // int8_t, 1 to keep fp8 sums in the tensor cores
  kScaleModeA = 31,      // int32_t, since 12.8; 3, since 12.9, for one scale per row
  kScaleModeB = 32,      // int32_t, likewise per column
};

enum class PreferenceAttribute : int32_t {
  kMaxWorkspaceBytes = 1,   // uint64_t
  kReductionSchemes = 3,    // uint32_t, a mask of those that may join parts of a sum
  kMinAlignmentABytes = 5,  // uint32_t
  kMinAlignmentBBytes = 6,  // uint32_t
  kMinAlignmentCBytes = 7,  // uint32_t
  kMinAlignmentDBytes = 8,  // uint32_t
};

inline constexpr int32_t kTranspose = 1;
inline constexpr uint32_t kEpilogueBias = 4;
inline constexpr int32_t kOneScalePerRow = 3;
// Parts of a sum that meet in the compute type, not in that of the output: bfloat16 would round them.
inline constexpr uint32_t kReduceInComputeType = 2;

struct Algorithm {
  uint64_t data[8];
};

struct HeuristicResult {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int32_t reserved[4];
};
static_assert(sizeof(HeuristicResult) == 96);

struct Library {
  size_t version;  // 130101 is 13.1.1

  Status (*create)(Context**);
  const char* (*status_name)(Status);
  Status (*matmul)(Context*, MatmulDesc*, const void* alpha, const void* a, MatrixLayout*, const void* b,
                   MatrixLayout*, const void* beta, const void* c, MatrixLayout*, void* d, MatrixLayout*,
                   const Algorithm*, void* workspace, size_t workspace_bytes, cudaStream_t);
  Status (*algorithm_heuristic)(Context*, MatmulDesc*, MatrixLayout* a, MatrixLayout* b, MatrixLayout* c,
                                MatrixLayout* d, Preference*, int requested, HeuristicResult*, int* returned);
  Status (*matmul_desc_create)(MatmulDesc**, ComputeType, cudaDataType_t scale_type);
  Status (*matmul_desc_destroy)(MatmulDesc*);
  Status (*matmul_desc_set)(MatmulDesc*, MatmulAttribute, const void*, size_t bytes);
  Status (*layout_create)(MatrixLayout**, cudaDataType_t, uint64_t rows, uint64_t cols, int64_t ld);
  Status (*layout_destroy)(MatrixLayout*);
  Status (*preference_create)(Preference**);
  Status (*preference_destroy)(Preference*);
  Status (*preference_set)(Preference*, PreferenceAttribute, const void*, size_t bytes);
};

// The library, opened by the first call and kept for good; null if it is not there.
const Library* library();
// Why it is not there, or an empty string.
std::string library_absence();

// "13.1.1"
std::string version_text(const Library&);

}  // namespace qutlass::cuda::cublaslt
