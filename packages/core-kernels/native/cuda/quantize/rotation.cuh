// How a quantizing kernel reads its input: the tiles of a span, rotated on the way.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "cuda/quantize/hadamard_mma.cuh"
#include "cuda/quantize/input.cuh"
#include "cuda/quantize/matrix_rotation.cuh"
#include "cuda/quantize/sylvester.cuh"
#include "cuda/quantize/tile.cuh"
#include "error.h"
#include "numerics/hadamard.h"
#include "qutlass.h"
#include "shared_memory.h"

namespace qutlass::cuda {

// The tiles that a thread holds where a kernel has no reason for another number.
template <RotateBy kBy>
inline constexpr int kTilesBy = kBy == RotateBy::kMatrix128 ? 4 : 2;

inline Rotation kernel_rotation(const qutlass_rotation& rotation) {
  return {rotation.data, rotation.size, hadamard_entry(rotation.size)};
}

// Shared memory of a block that holds `length` elements of an input.
template <RotateBy kBy, typename Input = DenseInput>
int rotation_bytes(int32_t length) {
  if (kBy == RotateBy::kBlock) return length * static_cast<int>(sizeof(float));
  constexpr int kSize = matrix_size(kBy);
  const int staged = kSize || Input::kStaged ? length * static_cast<int>(sizeof(uint16_t)) : 0;
  return matrix_bytes(kSize) + staged;
}

// Blocks of 256 threads that a multiprocessor is to hold at once.
template <RotateBy kBy>
inline constexpr int kBlocksBy = kBy == RotateBy::kNothing || kBy == RotateBy::kLanes ? 4
                                 : kBy == RotateBy::kMatrix128                        ? 2
                                 : matrix_size(kBy)                                   ? 3
                                                                                      : 1;

// Whether a block goes through several spans, in steps of the grid. A matrix in shared memory is used for
// more than one; other kernels have nothing to keep, and fewer registers without the loop.
template <RotateBy kBy>
inline constexpr bool kSeveralSpans = matrix_size(kBy) != 0;

// The blocks for these spans.
template <RotateBy kBy>
unsigned span_blocks(int64_t spans, int threads) {
  if (!kSeveralSpans<kBy>) return static_cast<unsigned>(spans);
  int device = 0, multiprocessors = 0;
  check(cudaGetDevice(&device), "rotation");
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device), "rotation");
  return static_cast<unsigned>(
      std::min<int64_t>(spans, std::max(1, kBlocksBy<kBy> * 256 / threads) * multiprocessors));
}

// Tiles rotated by the Sylvester matrix of 128 or 256 rows times the entry where a lane has tiles 64 elements
// apart, and neighbouring fours of lanes 128: the butterflies between tiles need no exchange.
__device__ inline void rotate_paired_tiles(const TileWords (&words)[2], int size, float entry,
                                           float (&x)[2][kTile]) {
  multiply_sylvester(words, size, entry, x);
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    const float a = x[0][i], b = x[1][i];
    x[0][i] = a + b;
    x[1][i] = a - b;
  }
  lane_butterflies<2, kTile>(x, 4, size / 2);
}

// rotation_bytes of shared memory, where a matrix may start.
__device__ inline void* rotation_memory() {
  extern __shared__ __align__(1024) uint8_t rotation_shared[];
  return rotation_shared;
}

// What a kernel keeps of a rotation while it goes through spans. kPaired, kWarpgroups: as for MatrixTile. The
// former is for a matrix of 128 rows, and for Hadamard matrices of more than 64 with two tiles to a thread of
// a matrix in bfloat16 that has whole ones.
template <RotateBy kBy, bool kPaired = false, bool kWarpgroups = false>
class Rotator {
  static constexpr int kSize = matrix_size(kBy);
  static constexpr bool kIsPaired = kPaired && (kBy == RotateBy::kLanes || kBy == RotateBy::kMatrix128);
  using Tile = MatrixTile<kSize ? kSize : 16, kIsPaired && kSize == 128, kWarpgroups>;

 public:
  // In which a thread gets the tiles that it has of a span.
  static constexpr int kParts = kSize ? Tile::kParts : 1;

  // Of a tile of a part in the span.
  template <int kTiles>
  __device__ static int position(int part, int tile) {
    if constexpr (kSize != 0) return Tile::position(part, tile);
    if constexpr (kIsPaired) {
      const int thread = static_cast<int>(threadIdx.x);
      return (thread / 4 * 8 + tile * 4 + thread % 4) * kTile;
    }
    return held_position<kTiles, kTile>(tile);
  }

  // At the start of a kernel, by all threads.
  __device__ explicit Rotator(const Rotation& rotation) : rotation_(rotation) { stage(); }
  // The same where there is a first span.
  template <typename Input, typename Span>
  __device__ Rotator(const Rotation& rotation, const Input& in, const Span& span) : rotation_(rotation) {
    prefetch(in, span);
    stage();
  }

  // The elements of a part of a span as float32, rotated; zeros beyond its end. A span starts at a multiple
  // of the rotation's size.
  template <int kTiles, typename Input, typename Span>
  __device__ void load(const Input& in, const Span& span, float (&x)[kTiles][kTile], int part = 0) const {
    if constexpr (kSize != 0 && Input::kStaged) {
      TileWords words[kTiles];
      load_words(in, span, words);
      // To where the operands of products are read from, by the same warp.
      __syncthreads();
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        auto* to = reinterpret_cast<uint4*>(buffer() + held_position<kTiles, kTile>(tile));
        to[0] = words[tile][0];
        to[1] = words[tile][1];
      }
      __syncwarp();
      const cuda::Span staged{0, 0, static_cast<int32_t>(blockDim.x) * kTiles * kTile};
      load_multiplied<Tile>(buffer(), QUTLASS_BF16, staged, buffer(), false, matrix(), nothing(), part, x);
    } else if constexpr (kSize != 0) {
      load_multiplied<Tile>(in.x.data, in.x.dtype, span, buffer(), prefetched_, matrix(), nothing(), part, x);
    } else if constexpr (kBy == RotateBy::kNothing && !Input::kStaged) {
      in.load(span, x);
    } else {
      TileWords words[kTiles];
      if constexpr (kIsPaired) {
        load_paired_words(in, span, words);
      } else {
        load_words(in, span, words);
      }
      if (kBy != RotateBy::kNothing && rotation_.data) {
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
          // The tiles of a thread lie whole rotations apart where these are within lanes, unless they are
          // paired.
          const int like = kBy == RotateBy::kLanes && !kIsPaired ? 0 : tile;
          TileSigns(rotation_, position<kTiles>(0, like)).apply(words[tile]);
        }
      }
      if constexpr (kIsPaired) {
        rotate_paired_tiles(words, rotation_.size, rotation_.entry, x);
      } else if constexpr (kBy == RotateBy::kLanes) {
        rotate_tiles(words, rotation_.size, rotation_.entry, x);
      } else {
        unpack_tiles(words, x);
        if constexpr (kBy == RotateBy::kBlock)
          sylvester_block(x, rotation_.size, rotation_.entry, static_cast<float*>(rotation_memory()));
      }
    }
  }

  // Lets the next span come while this one, which is loaded, is worked on.
  template <typename Input, typename Span>
  __device__ void prefetch(const Input& in, const Span& span) {
    if constexpr (kSize != 0 && !Input::kStaged)
      prefetched_ = prefetch_operands<Tile>(in.x.data, in.x.dtype, span, buffer());
  }

 private:
  __device__ void stage() const {
    if constexpr (kSize != 0) {
      Tile::stage(static_cast<const uint16_t*>(rotation_.data), matrix());
      __syncthreads();
    }
  }

  template <int kTiles, typename Input, typename Span>
  __device__ void load_words(const Input& in, const Span& span, TileWords (&words)[kTiles]) const {
    if constexpr (Input::kStaged) {
      in.load_words(buffer(), span, words);
    } else {
      in.load_words(span, words);
    }
  }

  template <int kTiles, typename Span>
  __device__ static void load_paired_words(const DenseInput& in, const Span& span,
                                           TileWords (&words)[kTiles]) {
    const auto load = [&](auto is_there) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        const int at = position<kTiles>(0, tile);
        cuda::load_words(static_cast<const uint16_t*>(in.x.data) + span.offset(at), is_there(at),
                         words[tile]);
      }
    };
    if (has_all_tiles<kTiles>(span)) return load([](int) { return true; });
    load([&](int at) { return span.has(at); });
  }

  // The lowest bit of a power of two, which compilers do not know.
  __device__ uint32_t nothing() const { return rotation_.size & 1; }
  // For a matrix: itself; then room for what the span has in bfloat16.
  __device__ uint16_t* matrix() const { return static_cast<uint16_t*>(rotation_memory()); }
  __device__ uint16_t* buffer() const { return matrix() + matrix_bytes(kSize) / sizeof(uint16_t); }

  const Rotation& rotation_;
  bool prefetched_ = false;
};

}  // namespace qutlass::cuda
