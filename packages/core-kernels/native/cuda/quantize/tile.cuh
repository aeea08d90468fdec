// Sixteen neighbouring elements in one thread: how they are read, and how their codes are written.
#pragma once

#include <cstdint>

#include "cuda/data/chunk.cuh"
#include "cuda/quantize/span.cuh"

namespace qutlass::cuda {

__device__ inline float upper_bf16(uint32_t word) { return __uint_as_float(word & 0xFFFF0000u); }
__device__ inline float lower_bf16(uint32_t word) { return __uint_as_float(word << 16); }

// Whether tiles of the span are whole or not there, and start at multiples of 16 bytes.
template <typename Span>
__device__ inline bool has_whole_tiles(const void* data, int32_t dtype, const Span& span) {
  const int64_t bytes = span.base * (dtype == QUTLASS_F32 ? 4 : 2);
  return span.elements % kTile == 0 && is_aligned<16>(static_cast<const char*>(data) + bytes);
}

// The signs that elements of a tile get when they are read, in the order that suits words of two elements of
// 16 bits: that of element i at bit 15 - i / 2, or 31 - i / 2 if i is odd.
struct TileSigns {
  uint32_t bits;

  // negative: a bit for each element, the first the lowest
  __device__ static TileSigns of(uint32_t negative) {
    uint32_t bits = 0;
#pragma unroll
    for (int i = 0; i < kTile; ++i) bits |= (negative >> i & 1u) << (15 + i % 2 * 16 - i / 2);
    return {bits};
  }
  __device__ uint32_t apply_to_pair(uint32_t words, int pair) const {
    return words ^ (bits << pair & 0x80008000u);
  }
  __device__ float apply(float x, int i) const {
    return __uint_as_float(__float_as_uint(x) ^ (bits << (16 - i % 2 * 16 + i / 2) & 0x80000000u));
  }
};

struct NoSigns {
  __device__ uint32_t apply_to_pair(uint32_t words, int) const { return words; }
  __device__ float apply(float x, int) const { return x; }
};

// Eight elements. pair: the number of the first two in their tile.
template <typename Signs>
__device__ inline void unpack(const uint4& words, int32_t dtype, const Signs& signs, int pair, float* x) {
  const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t two = signs.apply_to_pair(pairs[i], pair + i);
    if (dtype == QUTLASS_BF16) {
      x[2 * i] = lower_bf16(two);
      x[2 * i + 1] = upper_bf16(two);
    } else {
      x[2 * i] = f16_to_f32(static_cast<uint16_t>(two));
      x[2 * i + 1] = f16_to_f32(static_cast<uint16_t>(two >> 16));
    }
  }
}

// The tiles of a span in F32, BF16 or F16; zeros beyond its end. All loads come before their first use.
// signs(tile): TileSigns or NoSigns
template <int kTiles, typename Span, typename Signs>
__device__ inline void load_tiles(const void* data, int32_t dtype, const Span& span, const Signs& signs,
                                  float (&x)[kTiles][kTile]) {
  const auto position = [](int tile) { return held_position<kTiles, kTile>(tile); };
  if (!has_whole_tiles(data, dtype, span)) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int half = 0; half < kTile; half += kChunk) {
        const int at = position(tile) + half;
        float chunk[kChunk];
        load_chunk(data, dtype, span.offset(at), span.count(at, kChunk), chunk);
#pragma unroll
        for (int i = 0; i < kChunk; ++i) x[tile][half + i] = signs(tile).apply(chunk[i], half + i);
      }
    }
  } else if (dtype == QUTLASS_F32) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const bool is_there = position(tile) < span.elements;
      const auto* from =
          reinterpret_cast<const float4*>(static_cast<const float*>(data) + span.offset(position(tile)));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float4 four = is_there ? from[i] : float4{};
        x[tile][4 * i] = signs(tile).apply(four.x, 4 * i);
        x[tile][4 * i + 1] = signs(tile).apply(four.y, 4 * i + 1);
        x[tile][4 * i + 2] = signs(tile).apply(four.z, 4 * i + 2);
        x[tile][4 * i + 3] = signs(tile).apply(four.w, 4 * i + 3);
      }
    }
  } else {
    uint4 words[kTiles][2];
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const auto* from =
          reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(data) + span.offset(position(tile)));
      const bool is_there = position(tile) < span.elements;
      words[tile][0] = is_there ? from[0] : uint4{};
      words[tile][1] = is_there ? from[1] : uint4{};
    }
    // The choice of the dtype is out of the loops over elements.
    const auto unpack_as = [&](int32_t known) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        unpack(words[tile][0], known, signs(tile), 0, x[tile]);
        unpack(words[tile][1], known, signs(tile), 4, x[tile] + kChunk);
      }
    };
    if (dtype == QUTLASS_BF16) {
      unpack_as(QUTLASS_BF16);
    } else {
      unpack_as(QUTLASS_F16);
    }
  }
}

// The codes of a tile in the order of their elements, the first in the lowest bits: two words of codes of 4
// bits, or four of 8.
using TileCodes = uint32_t[4];

__device__ inline uint64_t two_words(uint32_t low, uint32_t high) {
  return low | static_cast<uint64_t>(high) << 32;
}

// offset: of the first element
__device__ inline void store_tile(void* codes, int32_t bits, int64_t offset, int count,
                                  const TileCodes& words) {
  auto* to = static_cast<uint8_t*>(codes);
  if (bits == 4) {
    to += offset >> 1;
    if (count == kTile && is_aligned<8>(to)) {
      *reinterpret_cast<uint2*>(to) = make_uint2(words[0], words[1]);
    } else {
      store_bytes(to, count / 2, two_words(words[0], words[1]));
    }
  } else if (count == kTile && is_aligned<16>(to + offset)) {
    *reinterpret_cast<uint4*>(to + offset) = make_uint4(words[0], words[1], words[2], words[3]);
  } else {
    store_bytes(to + offset, min(count, 8), two_words(words[0], words[1]));
    if (count > 8) store_bytes(to + offset + 8, count - 8, two_words(words[2], words[3]));
  }
}

}  // namespace qutlass::cuda
