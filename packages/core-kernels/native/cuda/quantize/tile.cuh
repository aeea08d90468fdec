// Sixteen neighbouring elements in one thread: how they are read, and how their codes are written.
#pragma once

#include <cuda_bf16.h>

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

// Sixteen neighbours of 16 bits as they lie in memory.
using TileWords = uint4[2];

// Word i of a tile, of eight.
__device__ inline uint32_t word_of(const TileWords& words, int i) {
  const uint4& half = words[i / 4];
  const uint32_t four[4] = {half.x, half.y, half.z, half.w};
  return four[i % 4];
}

__device__ inline void load_words(const uint16_t* from, bool is_there, TileWords& words) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
    words[half] = is_there ? reinterpret_cast<const uint4*>(from)[half] : uint4{};
}

__device__ inline uint32_t round_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(pair);
}

// Two neighbours each, rounded to bfloat16: pair(i), i up to eight.
template <typename Pair>
__device__ inline void make_words(const Pair& pair, TileWords& words) {
  words[0] = make_uint4(pair(0), pair(1), pair(2), pair(3));
  words[1] = make_uint4(pair(4), pair(5), pair(6), pair(7));
}

// Whether all tiles of all threads of a block are in the span: the usual case, with fewer questions.
template <int kTiles, typename Span>
__device__ inline bool has_all_tiles(const Span& span) {
  return span.has_all(static_cast<int>(blockDim.x) * kTiles * kTile);
}

// The tiles of a span of 16-bit elements that has whole ones; zeros beyond its end.
template <int kTiles, typename Span>
__device__ inline void load_tile_words(const void* data, const Span& span, TileWords (&words)[kTiles]) {
  const auto load = [&](auto is_there) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const int position = held_position<kTiles, kTile>(tile);
      load_words(static_cast<const uint16_t*>(data) + span.offset(position), is_there(position), words[tile]);
    }
  };
  if (has_all_tiles<kTiles>(span)) return load([](int) { return true; });
  load([&](int position) { return span.has(position); });
}

// As float32, of words in bfloat16.
template <int kTiles>
__device__ inline void unpack_tiles(const TileWords (&words)[kTiles], float (&x)[kTiles][kTile]) {
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
    for (int i = 0; i < kTile / 2; ++i) {
      x[tile][2 * i] = lower_bf16(word_of(words[tile], i));
      x[tile][2 * i + 1] = upper_bf16(word_of(words[tile], i));
    }
  }
}

// Rounded to bfloat16.
template <int kTiles>
__device__ inline void round_tiles(const float (&x)[kTiles][kTile], TileWords (&words)[kTiles]) {
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile)
    make_words([&](int i) { return round_pair(x[tile][2 * i], x[tile][2 * i + 1]); }, words[tile]);
}

// The tiles of a span in F32, BF16 or F16; zeros beyond its end. All loads come before their first use.
template <int kTiles, typename Span>
__device__ inline void load_tiles(const void* data, int32_t dtype, const Span& span,
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
        for (int i = 0; i < kChunk; ++i) x[tile][half + i] = chunk[i];
      }
    }
  } else if (dtype == QUTLASS_F32) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const bool is_there = span.has(position(tile));
      const auto* from =
          reinterpret_cast<const float4*>(static_cast<const float*>(data) + span.offset(position(tile)));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float4 four = is_there ? from[i] : float4{};
        x[tile][4 * i] = four.x, x[tile][4 * i + 1] = four.y;
        x[tile][4 * i + 2] = four.z, x[tile][4 * i + 3] = four.w;
      }
    }
  } else {
    TileWords words[kTiles];
    load_tile_words(data, span, words);
    // The choice of the dtype is out of the loops over elements.
    if (dtype == QUTLASS_BF16) return unpack_tiles(words, x);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < kTile; ++i)
        x[tile][i] = f16_to_f32(static_cast<uint16_t>(word_of(words[tile], i / 2) >> (16 * (i % 2))));
    }
  }
}

// The codes of a tile in the order of their elements, the first in the lowest bits: two words of codes of 4
// bits, or four of 8.
using TileCodes = uint32_t[4];

__device__ inline uint64_t two_words(uint32_t low, uint32_t high) {
  return low | static_cast<uint64_t>(high) << 32;
}

// A whole tile to where it is aligned.
__device__ inline void store_whole_tile(void* codes, int32_t bits, int64_t offset, const TileCodes& words) {
  auto* to = static_cast<uint8_t*>(codes);
  if (bits == 4) {
    *reinterpret_cast<uint2*>(to + (offset >> 1)) = make_uint2(words[0], words[1]);
  } else {
    *reinterpret_cast<uint4*>(to + offset) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

// offset: of the first element
__device__ inline void store_tile(void* codes, int32_t bits, int64_t offset, int count,
                                  const TileCodes& words) {
  auto* to = static_cast<uint8_t*>(codes);
  if (bits == 4) {
    to += offset >> 1;
    if (count == kTile && is_aligned<8>(to)) return store_whole_tile(codes, bits, offset, words);
    store_bytes(to, count / 2, two_words(words[0], words[1]));
  } else if (count == kTile && is_aligned<16>(to + offset)) {
    store_whole_tile(codes, bits, offset, words);
  } else {
    store_bytes(to + offset, min(count, 8), two_words(words[0], words[1]));
    if (count > 8) store_bytes(to + offset + 8, count - 8, two_words(words[2], words[3]));
  }
}

}  // namespace qutlass::cuda
