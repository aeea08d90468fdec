// What the quantizing kernels read: a matrix, or one that an operation would make. The elements of the latter
// are those that the kernel of the operation would write in bfloat16, to the bit, so it does not matter
// whether it is written.
#pragma once

#include <cstdint>

#include "cuda/model/block_reduce.cuh"
#include "cuda/model/rms_norm.cuh"
#include "cuda/model/silu_mul.cuh"
#include "cuda/quantize/tile.cuh"

namespace qutlass::cuda {

// An input has
//   load(span, x): the tiles of a span, by all threads of a block; zeros beyond its end
//   load_words(span, words): the same in bfloat16
//   kMostTiles: of a thread
//   kStaged: whether a span goes through shared memory, room for it in bfloat16, which load_words then takes
//     as one more argument in front; there is no load
struct DenseInput {
  static constexpr int kMostTiles = 4;
  static constexpr bool kStaged = false;
  qutlass_tensor x;

  template <int kTiles, typename Span>
  __device__ void load(const Span& span, float (&values)[kTiles][kTile]) const {
    load_tiles(x.data, x.dtype, span, values);
  }
  template <int kTiles, typename Span>
  __device__ void load_words(const Span& span, TileWords (&words)[kTiles]) const {
    if (x.dtype == QUTLASS_BF16 && has_whole_tiles(x.data, x.dtype, span))
      return load_tile_words(x.data, span, words);
    float values[kTiles][kTile];
    load(span, values);
    round_tiles(values, words);
  }
};

// The inputs below are in bfloat16, and their spans have whole tiles at multiples of 16 bytes.

template <typename Input, int kTiles, typename Span>
__device__ inline void load_unpacked(const Input& in, const Span& span, float (&values)[kTiles][kTile]) {
  TileWords words[kTiles];
  in.load_words(span, words);
  unpack_tiles(words, values);
}

struct SiluMulInput {
  static constexpr int kMostTiles = 4;
  static constexpr bool kStaged = false;
  const uint16_t *gate, *up;

  template <int kTiles, typename Span>
  __device__ void load(const Span& span, float (&values)[kTiles][kTile]) const {
    load_unpacked(*this, span, values);
  }
  template <int kTiles, typename Span>
  __device__ void load_words(const Span& span, TileWords (&words)[kTiles]) const {
    TileWords ups[kTiles];
    load_tile_words(gate, span, words);
    load_tile_words(up, span, ups);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const auto product = [&](int i) {
        const SiluMul silu_mul;
        const uint32_t g = word_of(words[tile], i), u = word_of(ups[tile], i);
        const float low = silu_mul(lower_bf16(g), lower_bf16(u)),
                    high = silu_mul(upper_bf16(g), upper_bf16(u));
        return round_pair(low, high);
      };
      make_words(product, words[tile]);
    }
  }
};

// A span is a row, and the only one that a block holds.
struct RmsNormInput {
  const uint16_t* x;
  uint16_t* residual;  // or null
  const uint16_t* weight;
  int64_t width;
  float eps;

  // As many as the kernel of the normalization holds of a row with one chunk to a thread, so that the sums of
  // squares of chunks meet in the same order.
  static constexpr int kMostColumns = 1024 * kChunk;
  static constexpr int kMostTiles = 2;
  static constexpr bool kStaged = false;

  template <int kTiles, typename Span>
  __device__ void load(const Span& span, float (&values)[kTiles][kTile]) const {
    load_unpacked(*this, span, values);
  }
  template <int kTiles, typename Span>
  __device__ void load_words(const Span& span, TileWords (&words)[kTiles]) const {
    TileWords carried[kTiles];
    float values[kTiles][kTile];
    load_tile_words(x, span, words);
    if (residual) load_tile_words(residual, span, carried);
    unpack_tiles(words, values);
    if (residual) add_residual(span, carried, values);
    // The weights are on their way while the sums meet.
    load_tile_words(weight - span.base, span, words);
    const float factor = rms_factor(row_squares(values), width, eps);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const auto normalized = [&](int i) {
        const uint32_t gain = word_of(words[tile], i);
        const float low = values[tile][2 * i] * factor * lower_bf16(gain);
        const float high = values[tile][2 * i + 1] * factor * upper_bf16(gain);
        return round_pair(low, high);
      };
      make_words(normalized, words[tile]);
    }
  }

 private:
  // Adds what was carried, and writes the sum back, rounded.
  template <int kTiles, typename Span>
  __device__ void add_residual(const Span& span, const TileWords (&carried)[kTiles],
                               float (&values)[kTiles][kTile]) const {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const auto sum = [&](int i) {
        const uint32_t pair = word_of(carried[tile], i);
        float &low = values[tile][2 * i], &high = values[tile][2 * i + 1];
        low += lower_bf16(pair);
        high += upper_bf16(pair);
        return round_pair(low, high);
      };
      TileWords sums;
      make_words(sum, sums);
      const int position = held_position<kTiles, kTile>(tile);
      if (position >= span.elements) continue;
      auto* to = reinterpret_cast<uint4*>(residual + span.offset(position));
      to[0] = sums[0];
      to[1] = sums[1];
    }
  }

  // Of two lanes that differ in `distance` the sum of their a, for the lower one, and of their b.
  __device__ static float divided_sum(float a, float b, int distance) {
    const bool upper = threadIdx.x & distance;
    return (upper ? b : a) + __shfl_xor_sync(0xFFFFFFFFu, upper ? a : b, distance);
  }

  // The sum of squares of the row, to each thread: of chunks, then of 32 neighbouring chunks as warp_reduce
  // adds them up, then of these.
  template <int kTiles>
  __device__ static float row_squares(const float (&values)[kTiles][kTile]) {
    __shared__ float of_chunks[kWarp];
    constexpr int kHalfWarp = kWarp / 2;
    const unsigned warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
    // Chunks of two lanes 2 d apart are those that a reduction within a warp adds at the distance d: those at
    // even places, and those at odd ones. Two lanes have the same sum then, so each has one of two instead.
    float even[kTiles], odd[kTiles];
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      even[tile] = add_squares<kChunk>(values[tile], 0);
      odd[tile] = add_squares<kChunk>(values[tile] + kChunk, 0);
    }
    static_assert(kTiles <= 2);
    float sum = divided_sum(divided_sum(even[0], even[kTiles - 1], kHalfWarp / 2),
                            divided_sum(odd[0], odd[kTiles - 1], kHalfWarp / 2), kHalfWarp / 4);
    for (int distance : {2, 1, kHalfWarp / 4}) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, distance);
    const unsigned tile = kTiles * (lane % kHalfWarp) / kHalfWarp;
    if (lane % (kHalfWarp / kTiles) == 0) of_chunks[(warp * kTiles + tile) * 2 + lane / kHalfWarp] = sum;
    __syncthreads();
    const unsigned sums = blockDim.x / kWarp * kTiles * 2;
    return warp_reduce(lane < sums ? of_chunks[lane] : 0.0f, [](float a, float b) { return a + b; });
  }
};

}  // namespace qutlass::cuda
