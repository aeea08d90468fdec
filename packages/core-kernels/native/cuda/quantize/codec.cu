// Elements to codes of a byte each, codes of 4 bits to two per byte, and back.
#include "check.h"
#include "cuda/data/chunk.cuh"
#include "cuda/operations.h"
#include "cuda_stream.h"
#include "numerics/elements.h"

namespace qutlass::cuda {
namespace {

__global__ void __launch_bounds__(kChunkThreads)
    encode_kernel(const float* x, int32_t element, uint8_t* out, int64_t end) {
  const int64_t offset = chunk_offset();
  const int count = chunk_count(offset, end);
  if (count == 0) return;
  float values[kChunk];
  load_chunk(x, QUTLASS_F32, offset, count, values);
  uint64_t codes = 0;
#pragma unroll
  for (int i = 0; i < kChunk; ++i)
    codes |= static_cast<uint64_t>(encode_element(element, values[i])) << (8 * i);
  store_bytes(out + offset, count, codes);
}

__global__ void __launch_bounds__(kChunkThreads)
    decode_kernel(const uint8_t* codes, int32_t element, float* out, int64_t end) {
  static_assert(kChunkThreads == 256);
  __shared__ float table[256];
  table[threadIdx.x] = decode_element(element, static_cast<uint8_t>(threadIdx.x));
  __syncthreads();
  const int64_t offset = chunk_offset();
  const int count = chunk_count(offset, end);
  if (count == 0) return;
  const uint64_t bytes = load_bytes(codes + offset, count);
  float values[kChunk];
#pragma unroll
  for (int i = 0; i < kChunk; ++i) values[i] = table[bytes >> (8 * i) & 0xFF];
  store_chunk(out, QUTLASS_F32, offset, count, values);
}

// `end` counts codes, which come in pairs.
__global__ void __launch_bounds__(kChunkThreads)
    pack_kernel(const uint8_t* codes, uint8_t* packed, int64_t end) {
  const int64_t offset = chunk_offset();
  const int count = chunk_count(offset, end);
  if (count == 0) return;
  store_bytes(packed + offset / 2, count / 2, pack_nibbles(load_bytes(codes + offset, count)));
}

__global__ void __launch_bounds__(kChunkThreads)
    unpack_kernel(const uint8_t* packed, bool sign_extend, uint8_t* codes, int64_t end) {
  const int64_t offset = chunk_offset();
  const int count = chunk_count(offset, end);
  if (count == 0) return;
  uint64_t bytes = unpack_nibbles(static_cast<uint32_t>(load_bytes(packed + offset / 2, count / 2)));
  if (sign_extend) {
    // The weight of the sign bit times 30 fills the upper half.
    bytes |= (bytes & 0x0808080808080808u) * 30;
  }
  store_bytes(codes + offset, count, bytes);
}

}  // namespace

void encode(Stream stream, Tensor x, int32_t element, Tensor out) {
  const int64_t count = element_count(x);
  cuda_stream(stream).run("encode", {x.data, out.data}, [&](cudaStream_t s) {
    encode_kernel<<<chunk_blocks(count), kChunkThreads, 0, s>>>(static_cast<const float*>(x.data), element,
                                                                static_cast<uint8_t*>(out.data), count);
  });
}

void decode(Stream stream, Tensor codes, int32_t element, Tensor out) {
  const int64_t count = element_count(out);
  cuda_stream(stream).run("decode", {codes.data, out.data}, [&](cudaStream_t s) {
    decode_kernel<<<chunk_blocks(count), kChunkThreads, 0, s>>>(
        static_cast<const uint8_t*>(codes.data), element, static_cast<float*>(out.data), count);
  });
}

void pack4(Stream stream, Tensor codes, Tensor out) {
  const int64_t count = element_count(codes);
  cuda_stream(stream).run("pack4", {codes.data, out.data}, [&](cudaStream_t s) {
    pack_kernel<<<chunk_blocks(count), kChunkThreads, 0, s>>>(static_cast<const uint8_t*>(codes.data),
                                                              static_cast<uint8_t*>(out.data), count);
  });
}

void unpack4(Stream stream, Tensor packed, bool sign_extend, Tensor out) {
  const int64_t count = element_count(out);
  cuda_stream(stream).run("unpack4", {packed.data, out.data}, [&](cudaStream_t s) {
    unpack_kernel<<<chunk_blocks(count), kChunkThreads, 0, s>>>(
        static_cast<const uint8_t*>(packed.data), sign_extend, static_cast<uint8_t*>(out.data), count);
  });
}

}  // namespace qutlass::cuda
