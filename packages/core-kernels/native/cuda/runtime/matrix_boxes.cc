#include "matrix_boxes.h"

#include <cudaTypedefs.h>
#include <cuda_runtime.h>

#include "error.h"

namespace qutlass::cuda {
namespace {

// The library does not link to the driver.
PFN_cuTensorMapEncodeTiled_v12000 encoder() {
  static const auto known = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found{};
    check(
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found),
        "looking for cuTensorMapEncodeTiled");
    if (found != cudaDriverEntryPointSuccess)
      fail(QUTLASS_E_CUDA, "the NVIDIA driver has no cuTensorMapEncodeTiled, which came with CUDA 12.0");
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(entry);
  }();
  return known;
}

}  // namespace

MatrixBoxes matrix_boxes(const void* data, int rows, int64_t row_bytes, int box_rows, int box_bytes,
                         BoxLayout layout, bool mapped) {
  MatrixBoxes boxes{{}, static_cast<const uint8_t*>(data), row_bytes, rows, box_rows};
  if (!mapped) return boxes;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(row_bytes / 4), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(row_bytes)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(box_bytes / 4), static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[] = {1, 1};
  const CUresult result =
      encoder()(&boxes.map, CU_TENSOR_MAP_DATA_TYPE_UINT32, 2, const_cast<void*>(data), sizes, strides, box,
                steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                layout == BoxLayout::kSwizzled ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
                CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    fail(QUTLASS_E_CUDA, "describing a matrix of %d rows of %lld bytes: error %d of the driver", rows,
         static_cast<long long>(row_bytes), static_cast<int>(result));
  return boxes;
}

}  // namespace qutlass::cuda
