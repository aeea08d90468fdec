// Conversion between dtypes.
#include "check.h"
#include "cuda/data/chunk.cuh"
#include "cuda/operations.h"
#include "cuda_stream.h"

namespace qutlass::cuda {
namespace {

// A byte of a dtype other than F32, BF16, F16 and I32 as a number, which every dtype to convert to holds or
// rounds once.
__device__ float byte_value(int32_t dtype, uint8_t byte) {
  switch (dtype) {
    case QUTLASS_I8: return static_cast<float>(static_cast<int8_t>(byte));
    case QUTLASS_U8: return static_cast<float>(byte);
    case QUTLASS_F8_E4M3: return E4M3::decode(byte, false);
    case QUTLASS_F8_E5M2: return E5M2::decode(byte, true);
    default: return decode_e8m0(byte);
  }
}

__global__ void __launch_bounds__(kChunkThreads)
    convert_kernel(qutlass_tensor x, qutlass_tensor out, int64_t end) {
  const int64_t offset = chunk_offset();
  const int count = chunk_count(offset, end);
  if (count == 0) return;
  if (x.dtype == QUTLASS_I32) {
    for (int i = 0; i < count; ++i) {
      const int32_t value = static_cast<const int32_t*>(x.data)[offset + i];
      store_dense_once(out.data, out.dtype, offset + i, static_cast<double>(value));
    }
    return;
  }
  float values[kChunk];
  if (x.dtype == QUTLASS_F32 || x.dtype == QUTLASS_BF16 || x.dtype == QUTLASS_F16) {
    load_chunk(x.data, x.dtype, offset, count, values);
  } else {
    const uint64_t bytes = load_bytes(static_cast<const uint8_t*>(x.data) + offset, count);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) values[i] = byte_value(x.dtype, static_cast<uint8_t>(bytes >> (8 * i)));
  }
  store_chunk(out.data, out.dtype, offset, count, values);
}

}  // namespace

void convert(Stream stream, Tensor x, Tensor out) {
  const int64_t count = element_count(x);
  if (x.dtype == out.dtype) return copy(stream, x.data, out.data, count * dtype_bytes(x.dtype));
  cuda_stream(stream).run("convert", {x.data, out.data}, [&](cudaStream_t s) {
    convert_kernel<<<chunk_blocks(count), kChunkThreads, 0, s>>>(x, out, count);
  });
}

}  // namespace qutlass::cuda
