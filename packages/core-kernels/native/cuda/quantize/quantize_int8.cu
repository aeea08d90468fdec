// Quantization to int8 with scales that the caller brings.
#include "check.h"
#include "cuda/data/chunk.cuh"
#include "cuda/operations.h"
#include "cuda_stream.h"
#include "numerics/elements.h"

namespace qutlass::cuda {
namespace {

// per_row: a scale for each row of `cols`, else one for all.
__global__ void __launch_bounds__(kChunkThreads)
    quantize_int8_kernel(qutlass_tensor x, qutlass_tensor scale, bool per_row, int64_t cols, int8_t* out,
                         int64_t end) {
  const int64_t offset = chunk_offset();
  const int count = chunk_count(offset, end);
  if (count == 0) return;
  float values[kChunk];
  load_chunk(x.data, x.dtype, offset, count, values);
  int64_t row = per_row ? quotient(offset, cols) : 0;
  int64_t row_end = per_row ? (row + 1) * cols : end;
  float divisor = load_dense(scale.data, scale.dtype, row);
  uint64_t codes = 0;
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    if (offset + i == row_end && i < count) {
      divisor = load_dense(scale.data, scale.dtype, ++row);
      row_end += cols;
    }
    const int32_t code = encode_integer(values[i] / divisor, -128, 127);
    codes |= static_cast<uint64_t>(static_cast<uint8_t>(code)) << (8 * i);
  }
  store_bytes(out + offset, count, codes);
}

}  // namespace

void quantize_int8_with_scale(Stream stream, Tensor x, Tensor scale, Tensor out) {
  const int64_t count = element_count(x), cols = x.shape[x.rank - 1];
  const bool per_row = element_count(scale) != 1;
  cuda_stream(stream).run("quantize_int8_with_scale", {x.data, scale.data, out.data}, [&](cudaStream_t s) {
    quantize_int8_kernel<<<chunk_blocks(count), kChunkThreads, 0, s>>>(x, scale, per_row, cols,
                                                                       static_cast<int8_t*>(out.data), count);
  });
}

}  // namespace qutlass::cuda
