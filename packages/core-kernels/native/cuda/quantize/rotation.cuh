// What a quantizing kernel reads: the tiles of a span, rotated on the way.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

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

// Shared memory of a block that holds `length` elements.
template <RotateBy kBy>
int rotation_bytes(int32_t length) {
  if (kBy == RotateBy::kBlock) return length * static_cast<int>(sizeof(float));
  constexpr int kSize = matrix_size(kBy);
  return kSize ? matrix_bytes(kSize) + length * static_cast<int>(sizeof(uint16_t)) : 0;
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

// What a kernel keeps of a rotation while it goes through spans.
template <RotateBy kBy>
class Rotator {
 public:
  // At the start of a kernel, by all threads; shared: rotation_bytes.
  __device__ Rotator(const Rotation& rotation, void* shared) : rotation_(rotation), shared_(shared) {
    if constexpr (kSize != 0) {
      MatrixTile<kSize>::stage(static_cast<const uint16_t*>(rotation.data), matrix());
      __syncthreads();
    } else if constexpr (kBy == RotateBy::kLanes) {
      // The tiles of a thread lie whole rotations apart.
      signs_ = tile_signs(rotation, held_position<1, kTile>(0));
    }
  }

  // The elements of a span as float32, rotated; zeros beyond its end. A span starts at a multiple of the
  // rotation's size.
  template <int kTiles, typename Span>
  __device__ void load(const qutlass_tensor& in, const Span& span, float (&x)[kTiles][kTile]) const {
    const void* data = in.data;
    const int32_t dtype = in.dtype;
    if constexpr (kSize != 0) {
      load_multiplied<kSize>(data, dtype, span, buffer(), prefetched_, matrix(), x);
    } else if constexpr (kBy == RotateBy::kLanes) {
      load_tiles(data, dtype, span, [&](int) { return signs_; }, x);
      round_operands(dtype, x);
      sylvester_lanes(x, rotation_.size, rotation_.entry);
    } else if constexpr (kBy == RotateBy::kBlock) {
      load_tiles(
          data, dtype, span,
          [&](int tile) { return tile_signs(rotation_, held_position<kTiles, kTile>(tile)); }, x);
      round_operands(dtype, x);
      sylvester_block(x, rotation_.size, rotation_.entry, static_cast<float*>(shared_));
    } else {
      load_tiles(data, dtype, span, [](int) { return NoSigns(); }, x);
    }
  }

  // Lets the next span come while this one, which is loaded, is worked on.
  template <typename Span>
  __device__ void prefetch(const qutlass_tensor& in, const Span& span) {
    if constexpr (kSize != 0) prefetched_ = prefetch_operands<kSize>(in.data, in.dtype, span, buffer());
  }

 private:
  static constexpr int kSize = matrix_size(kBy);

  // For a matrix: itself, and room for what the span has in bfloat16.
  __device__ uint16_t* matrix() const { return static_cast<uint16_t*>(shared_); }
  __device__ uint16_t* buffer() const { return matrix() + kSize * matrix_pitch(kSize); }

  template <int kTiles>
  __device__ static void round_operands(int32_t dtype, float (&x)[kTiles][kTile]) {
    if (dtype == QUTLASS_BF16) return;
#pragma unroll
    for (int i = 0; i < kTiles * kTile; ++i) {
      float& value = x[i / kTile][i % kTile];
      value = round_to_bf16(value);
    }
  }

  const Rotation& rotation_;
  void* shared_;
  TileSigns signs_;
  bool prefetched_ = false;
};

}  // namespace qutlass::cuda
