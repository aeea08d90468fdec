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

namespace qutlass::cuda {

// The tiles that a thread holds where a kernel has no reason for another number. A product by a matrix gives
// a warp 2048 elements.
template <RotateBy kBy>
inline constexpr int kTilesBy = kBy == RotateBy::kMatrix ? 4 : 2;

inline Rotation kernel_rotation(const qutlass_rotation& rotation) {
  return {rotation.data, rotation.size, hadamard_entry(rotation.size)};
}

// Shared memory of a block that holds `length` elements.
inline size_t rotation_bytes(RotateBy by, int32_t size, int32_t length) {
  switch (by) {
    case RotateBy::kBlock: return sizeof(float) * static_cast<size_t>(length);
    case RotateBy::kMatrix: return static_cast<size_t>(matrix_bytes(size));
    default: return 0;
  }
}

// Whether a block goes through several spans, in steps of the grid. A matrix in shared memory is used for
// more than one; other kernels have nothing to keep, and fewer registers without the loop.
template <RotateBy kBy>
inline constexpr bool kSeveralSpans = kBy == RotateBy::kMatrix;

// The blocks for these spans: for a matrix, two to a multiprocessor.
inline unsigned span_blocks(RotateBy by, int64_t spans) {
  if (by != RotateBy::kMatrix) return static_cast<unsigned>(spans);
  int device = 0, multiprocessors = 0;
  check(cudaGetDevice(&device), "rotation");
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device), "rotation");
  return static_cast<unsigned>(std::min<int64_t>(spans, 2 * multiprocessors));
}

// Lets a kernel have more than 48 KB of shared memory.
template <typename Kernel>
void allow_shared_memory(Kernel kernel, size_t bytes) {
  if (bytes <= 48 * 1024) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "reserving shared memory");
}

// Calls visit(std::integral_constant) with the size of a matrix.
template <typename Visit>
__device__ inline void with_matrix_size(int32_t size, const Visit& visit) {
  switch (size) {
    case 16: return visit(std::integral_constant<int, 16>());
    case 32: return visit(std::integral_constant<int, 32>());
    case 64: return visit(std::integral_constant<int, 64>());
    default: return visit(std::integral_constant<int, 128>());
  }
}

// What a kernel keeps of a rotation while it goes through spans.
template <RotateBy kBy>
class Rotator {
 public:
  // At the start of a kernel, by all threads; shared: rotation_bytes.
  __device__ Rotator(const Rotation& rotation, void* shared) : rotation_(rotation), shared_(shared) {
    if constexpr (kBy == RotateBy::kMatrix) {
      with_matrix_size(rotation.size, [&](auto size) {
        MatrixTile<size>::stage(static_cast<const uint16_t*>(rotation.data), static_cast<uint16_t*>(shared));
      });
      __syncthreads();
    } else if constexpr (kBy == RotateBy::kLanes) {
      // The tiles of a thread lie whole rotations apart.
      signs_ = tile_signs(rotation, held_position<1, kTile>(0));
    }
  }

  // The elements of a span as float32, rotated; zeros beyond its end. A span starts at a multiple of the
  // rotation's size.
  template <int kTiles, typename Span>
  __device__ void load(const void* data, int32_t dtype, const Span& span, float (&x)[kTiles][kTile]) const {
    if constexpr (kBy == RotateBy::kMatrix) {
      static_assert(kTiles == kTilesBy<kBy>);
      with_matrix_size(rotation_.size, [&](auto size) {
        load_multiplied<size>(data, dtype, span, static_cast<const uint16_t*>(shared_), x);
      });
    } else if constexpr (kBy == RotateBy::kLanes) {
      load_tiles(data, dtype, span, [&](int) { return signs_; }, x);
      to_entries(dtype, x);
      sylvester_lanes(x, rotation_.size);
    } else if constexpr (kBy == RotateBy::kBlock) {
      load_tiles(
          data, dtype, span,
          [&](int tile) { return tile_signs(rotation_, held_position<kTiles, kTile>(tile)); }, x);
      to_entries(dtype, x);
      sylvester_block(x, rotation_.size, static_cast<float*>(shared_));
    } else {
      load_tiles(data, dtype, span, [](int) { return NoSigns(); }, x);
    }
  }

 private:
  // Multiplying by the entry before adding keeps to the definition, sums of products of bfloat16 numbers
  // (each exact in float32), and sums no more than the result holds, so nothing overflows on the way.
  template <int kTiles>
  __device__ void to_entries(int32_t dtype, float (&x)[kTiles][kTile]) const {
    if (dtype != QUTLASS_BF16) {
#pragma unroll
      for (int i = 0; i < kTiles * kTile; ++i) {
        float& value = x[i / kTile][i % kTile];
        value = round_to_bf16(value);
      }
    }
#pragma unroll
    for (int i = 0; i < kTiles * kTile; ++i) x[i / kTile][i % kTile] *= rotation_.entry;
  }

  const Rotation& rotation_;
  void* shared_;
  TileSigns signs_;
};

}  // namespace qutlass::cuda
