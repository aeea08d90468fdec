// Eight neighbouring elements of a tensor in one thread: 16 bytes of bfloat16, 8 or 4 bytes of codes. Tails
// and data that are not aligned are taken element by element, so every offset and count works.
#pragma once

#include <cstdint>

#include "numerics/dense.h"
#include "numerics/quantized.h"

namespace qutlass::cuda {

inline constexpr int kChunk = 8;

template <int kBytes>
__device__ inline bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % kBytes == 0;
}

// Elements [offset, offset + count) in F32, BF16 or F16, and zeros up to kChunk.
__device__ inline void load_chunk(const void* data, int32_t dtype, int64_t offset, int count,
                                  float (&x)[kChunk]) {
  const int64_t bytes = offset * (dtype == QUTLASS_F32 ? 4 : 2);
  const auto* from = reinterpret_cast<const uint4*>(static_cast<const char*>(data) + bytes);
  if (count != kChunk || !is_aligned<16>(from)) {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) x[i] = i < count ? load_dense(data, dtype, offset + i) : 0.0f;
    return;
  }
  if (dtype == QUTLASS_F32) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint4 words = from[i];
      x[4 * i] = __uint_as_float(words.x);
      x[4 * i + 1] = __uint_as_float(words.y);
      x[4 * i + 2] = __uint_as_float(words.z);
      x[4 * i + 3] = __uint_as_float(words.w);
    }
    return;
  }
  const uint4 four = *from;
  const uint32_t words[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const auto bits = static_cast<uint16_t>(words[i / 2] >> (16 * (i % 2)));
    x[i] = dtype == QUTLASS_BF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
  }
}

__device__ inline void store_chunk(void* data, int32_t dtype, int64_t offset, int count,
                                   const float (&x)[kChunk]) {
  const int64_t bytes = offset * (dtype == QUTLASS_F32 ? 4 : 2);
  auto* to = reinterpret_cast<uint4*>(static_cast<char*>(data) + bytes);
  if (count != kChunk || !is_aligned<16>(to)) {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      if (i < count) store_dense(data, dtype, offset + i, x[i]);
    }
    return;
  }
  if (dtype == QUTLASS_F32) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      to[i] = make_uint4(__float_as_uint(x[4 * i]), __float_as_uint(x[4 * i + 1]),
                         __float_as_uint(x[4 * i + 2]), __float_as_uint(x[4 * i + 3]));
    }
    return;
  }
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float low = x[2 * i], high = x[2 * i + 1];
    words[i] = dtype == QUTLASS_BF16 ? f32_to_bf16(low) | static_cast<uint32_t>(f32_to_bf16(high)) << 16
                                     : f32_to_f16(low) | static_cast<uint32_t>(f32_to_f16(high)) << 16;
  }
  *to = make_uint4(words[0], words[1], words[2], words[3]);
}

// `count` bytes, up to 8, the first in the lowest bits.
__device__ inline uint64_t load_bytes(const void* data, int count) {
  if (count == 8 && is_aligned<8>(data)) return *static_cast<const uint64_t*>(data);
  if (count == 4 && is_aligned<4>(data)) return *static_cast<const uint32_t*>(data);
  uint64_t bytes = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (i < count) bytes |= static_cast<uint64_t>(static_cast<const uint8_t*>(data)[i]) << (8 * i);
  }
  return bytes;
}

__device__ inline void store_bytes(void* data, int count, uint64_t bytes) {
  if (count == 8 && is_aligned<8>(data)) {
    *static_cast<uint64_t*>(data) = bytes;
  } else if (count == 4 && is_aligned<4>(data)) {
    *static_cast<uint32_t*>(data) = static_cast<uint32_t>(bytes);
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (i < count) static_cast<uint8_t*>(data)[i] = static_cast<uint8_t>(bytes >> (8 * i));
    }
  }
}

// Eight codes of a byte each to four bytes, low nibble first, and back.
__device__ inline uint32_t pack_nibbles(uint64_t codes) {
  uint32_t low = static_cast<uint32_t>(codes) & 0x0F0F0F0Fu,
           high = static_cast<uint32_t>(codes >> 32) & 0x0F0F0F0Fu;
  low |= low >> 4;
  high |= high >> 4;
  return __byte_perm(low, high, 0x6420);
}

__device__ inline uint64_t unpack_nibbles(uint32_t packed) {
  uint32_t low = __byte_perm(packed, 0, 0x4140), high = __byte_perm(packed, 0, 0x4342);
  low = (low | low << 4) & 0x0F0F0F0Fu;
  high = (high | high << 4) & 0x0F0F0F0Fu;
  return low | static_cast<uint64_t>(high) << 32;
}

// The chunks of `count` elements, one to each thread.
inline constexpr int kChunkThreads = 256;

inline unsigned chunk_blocks(int64_t count) {
  return static_cast<unsigned>(ceil_div(ceil_div(count, kChunk), kChunkThreads));
}

__device__ inline int64_t chunk_offset() {
  return (int64_t{blockIdx.x} * kChunkThreads + threadIdx.x) * kChunk;
}

// The elements of the chunk at an offset that are among the first `end`, from none to kChunk.
__device__ inline int chunk_count(int64_t offset, int64_t end) {
  return static_cast<int>(max(int64_t{0}, min(int64_t{kChunk}, end - offset)));
}

// a / b for numbers that are not negative. 64-bit divisions take many times as long, and few numbers need
// one.
__device__ inline int64_t quotient(int64_t a, int64_t b) {
  return ((a | b) >> 32) == 0 ? static_cast<uint32_t>(a) / static_cast<uint32_t>(b) : a / b;
}

}  // namespace qutlass::cuda
