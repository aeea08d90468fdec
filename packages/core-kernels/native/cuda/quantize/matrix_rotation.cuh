// Rotation by a matrix of 16, 32, 64 or 128 rows on tensor cores. A warp multiplies neighbouring
// elements, 2048 for 128 rows and else 1024, seen as rows of the matrix's size. It reads them from memory as
// the operand of a matrix instruction, and holds the product as quantizers want it: sixteen neighbours to a
// lane.
//
// An instruction puts two neighbours of a row of its product in a lane, and takes two neighbours of a row of
// its operand. Which column of the matrix is which column of the instruction is free, and so is the order of
// the sum: both are permuted in the copy of the matrix in shared memory, once. What that cannot do is an
// exchange between lanes: none for size 64, half an element or one per element for the others.
#pragma once

#include <cstdint>

#include "cuda/atoms/async_copy.cuh"
#include "cuda/atoms/mma.cuh"
#include "cuda/quantize/sylvester.cuh"
#include "cuda/quantize/tile.cuh"

namespace qutlass::cuda {

// Rows in shared memory are 16 bytes longer, which puts eight of them in different banks.
__host__ __device__ constexpr int matrix_pitch(int size) { return size + 8; }
__host__ __device__ constexpr int matrix_bytes(int size) {
  return size * matrix_pitch(size) * static_cast<int>(sizeof(uint16_t));
}

__device__ inline uint4 load_words(const uint16_t* from, bool aligned) {
  if (aligned) return *reinterpret_cast<const uint4*>(from);
  const auto word = [&](int i) { return from[2 * i] | static_cast<uint32_t>(from[2 * i + 1]) << 16; };
  return make_uint4(word(0), word(1), word(2), word(3));
}

// kPaired: of a matrix of 128 rows, tiles 64 elements apart lie in one lane, and nothing is exchanged. Groups
// of 128 elements do not lie in neighbouring lanes then.
template <int kSize, bool kPaired = false>
struct MatrixTile {
  static constexpr int kRows = kSize;
  static constexpr bool kArePaired = kPaired;
  static constexpr int kTiles = kSize == 128 ? 4 : 2;  // of a lane
  static constexpr int kWarpElements = 32 * kTiles * kTile;

  static constexpr int kRun = kSize == 16 ? 4 : 8;  // neighbours of a row that a lane reads
  static constexpr int kRuns = kSize / (4 * kRun);  // of a row, for each lane
  static constexpr int kProducts = kWarpElements / (16 * kSize);
  static constexpr int kWidth = kSize >= 64 ? 16 : kSize / 4;  // neighbours of a row of a product, in a lane
  static constexpr int kHalves = kSize == 128 ? 2 : 1;         // products of 64 columns
  static constexpr int kPitch = matrix_pitch(kSize);

  // The row, among those of the warp, at row `lane / 4 + 8 * lower` of the operand of a product.
  __device__ static int row(int product, int lower) {
    const int g = static_cast<int>(threadIdx.x % 32 / 4);
    switch (kSize) {
      case 128: return kPaired ? 8 * lower + g : 4 * (2 * (g & 1) + lower) + g / 2;
      case 64: return 16 * product + 8 * lower + g;
      case 32: return 16 * product + 2 * g + lower;
      default: return 32 * (product / 2) + 4 * g + 2 * (product % 2) + lower;
    }
  }

  // Where a tile of the product is in the span.
  __device__ static int position(int tile) {
    if constexpr (!kPaired) return held_position<kTiles, kTile>(tile);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 4;
    return warp * kWarpElements + row(0, tile / 2) * kSize + tile % 2 * 64 + lane * kTile;
  }

  // Where row k of the matrix lies: in the order in which instructions meet what lanes have read.
  __device__ static unsigned sum_row(unsigned k) {
    const unsigned lane = k / kRun % 4, within = k % kRun;
    return k / (4 * kRun) * (4 * kRun) + within / 4 * 16 + within / 2 % 2 * 8 + 2 * lane + within % 2;
  }
  // Where column c, which is even, lies, and its neighbour: so that a lane gets kWidth neighbours.
  __device__ static unsigned product_col(unsigned c) {
    const unsigned lane = kSize == 32 ? c / 16 % 2 + 2 * (c / 8 % 2) : c / kWidth % 4;
    return c / 64 * 64 + c % kWidth / 2 * 8 + 2 * lane;
  }

  // By all threads of a block; the caller synchronizes.
  __device__ static void stage(const uint16_t* matrix, uint16_t* shared) {
    constexpr int kAcross = kSize / kChunk, kChunks = kSize * kAcross;
    constexpr int kBatch = 8;  // loads in flight
    const bool aligned = is_aligned<16>(matrix);
    for (unsigned first = threadIdx.x; first < kChunks; first += kBatch * blockDim.x) {
      uint4 loaded[kBatch];
#pragma unroll
      for (unsigned j = 0; j < kBatch; ++j) {
        const unsigned i = first + j * blockDim.x;
        if (i < kChunks) loaded[j] = load_words(matrix + i * kChunk, aligned);
      }
#pragma unroll
      for (unsigned j = 0; j < kBatch; ++j) {
        const unsigned i = first + j * blockDim.x;
        if (i >= kChunks) break;
        uint16_t* to = shared + sum_row(i / kAcross) * kPitch;
        const uint32_t words[4] = {loaded[j].x, loaded[j].y, loaded[j].z, loaded[j].w};
#pragma unroll
        for (int w = 0; w < 4; ++w)
          *reinterpret_cast<uint32_t*>(to + product_col(i % kAcross * kChunk + 2 * w)) = words[w];
      }
    }
  }

  // What the lane reads of two rows for a product, in bfloat16, as instructions take it.
  struct Operand {
    uint32_t steps[kSize / 16][4];

    // A run, of the upper row first. Compilers copy registers that they know to be copies anew for every
    // instruction, so they are not told that `nothing` is 0.
    __device__ void set(int run, const uint32_t (&words)[kRun / 2], uint32_t nothing) {
#pragma unroll
      for (int i = 0; i < kRun / 2; ++i) {
        const int word = run % kRuns * (kRun / 2) + i;
        steps[word / 2][run / kRuns + 2 * (word % 2)] = words[i] ^ nothing;
      }
    }
  };

  // visit(run, position): what the lane reads for a product, and where that is in the span.
  template <typename Visit>
  __device__ static void for_each_run(int product, const Visit& visit) {
    const int first = static_cast<int>(threadIdx.x / 32) * kWarpElements;
    const int lane = static_cast<int>(threadIdx.x % 4);
#pragma unroll
    for (int lower = 0; lower < 2; ++lower) {
#pragma unroll
      for (int run = 0; run < kRuns; ++run)
        visit(lower * kRuns + run, first + row(product, lower) * kSize + (run * 4 + lane) * kRun);
    }
  }

  // A lane copies what it reads to a place of its own, and so waits for nobody else. Neighbours are 16 bytes
  // apart, or 8.
  __device__ static uint16_t* place(uint16_t* buffer, int product, int run) {
    const int at = (static_cast<int>(threadIdx.x / 32) * kProducts + product) * 2 * kRuns + run;
    return buffer + (at * 32 + static_cast<int>(threadIdx.x % 32)) * kRun;
  }
  template <typename Span>
  __device__ static void prefetch(const uint16_t* data, const Span& span, uint16_t* buffer) {
#pragma unroll
    for (int product = 0; product < kProducts; ++product) {
      for_each_run(product, [&](int run, int position) {
        copy_async<kRun * 2>(place(buffer, product, run), data + span.offset(position));
      });
    }
  }
  __device__ static void load_prefetched(uint16_t* buffer, int product, uint32_t nothing, Operand& operand) {
#pragma unroll
    for (int run = 0; run < 2 * kRuns; ++run) {
      uint32_t words[kRun / 2];
      copy_run(place(buffer, product, run), words);
      operand.set(run, words, nothing);
    }
  }

  template <typename Span>
  __device__ static void load(const void* data, int32_t dtype, const Span& span, bool whole, int product,
                              uint32_t nothing, Operand& operand) {
    for_each_run(product, [&](int run, int position) {
      uint32_t words[kRun / 2];
      if (whole) {
        copy_run(static_cast<const uint16_t*>(data) + span.offset(position), words);
      } else {
        float x[kChunk];
        load_chunk(data, dtype, span.offset(position), span.count(position, kRun), x);
#pragma unroll
        for (int i = 0; i < kRun / 2; ++i)
          words[i] = f32_to_bf16(x[2 * i]) | static_cast<uint32_t>(f32_to_bf16(x[2 * i + 1])) << 16;
      }
      operand.set(run, words, nothing);
    });
  }

  __device__ static void copy_run(const uint16_t* from, uint32_t (&words)[kRun / 2]) {
    if constexpr (kRun == 8) {
      const uint4 four = *reinterpret_cast<const uint4*>(from);
      words[0] = four.x, words[1] = four.y, words[2] = four.z, words[3] = four.w;
    } else {
      const uint2 two = *reinterpret_cast<const uint2*>(from);
      words[0] = two.x, words[1] = two.y;
    }
  }

  // The lane's kWidth columns of two rows, of 64 columns of the product from 64 * half on.
  __device__ static void multiply(const Operand& operand, const uint16_t* matrix, int half, float* upper,
                                  float* lower) {
    const int lane = threadIdx.x % 32;
    const uint16_t* at = matrix + (lane % 16) * kPitch + lane / 16 * 8 + half * 64;
    float products[kWidth / 2][4] = {};
#pragma unroll
    for (int step = 0; step < kSize / 16; ++step) {
#pragma unroll
      for (int tile = 0; tile < kWidth / 2; tile += 2) {
        uint32_t b[2][2];
        load_matrices_transposed(at + step * 16 * kPitch + tile * 8, b[0][0], b[0][1], b[1][0], b[1][1]);
        multiply_add(products[tile], operand.steps[step], b[0]);
        multiply_add(products[tile + 1], operand.steps[step], b[1]);
      }
    }
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      upper[i] = products[i / 2][i % 2];
      lower[i] = products[i / 2][2 + i % 2];
    }
  }
};

// Lanes that differ in `distance` exchange what each of them does not keep: the upper one keeps b and gets
// the other's b as `first`, the lower one keeps a and gets the other's a as `second`.
template <int kCount>
__device__ inline void exchange(int distance, const float* a, const float* b, float* first, float* second) {
  const bool upper = threadIdx.x & distance;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const float mine_a = a[i], mine_b = b[i];
    const float other = __shfl_xor_sync(0xFFFFFFFFu, upper ? mine_a : mine_b, distance);
    first[i] = upper ? other : mine_a;
    second[i] = upper ? mine_b : other;
  }
}

// Whether what a warp reads of a span can be copied as it is.
template <typename Tile, typename Span>
__device__ inline bool is_copied(const void* data, int32_t dtype, const Span& span) {
  return dtype == QUTLASS_BF16 &&
         span.has(static_cast<int>(threadIdx.x / 32) * Tile::kWarpElements, Tile::kWarpElements) &&
         is_aligned<16>(static_cast<const uint16_t*>(data) + span.base);
}

// Reads the next span beside what comes before its load. Whether there is something in the buffer.
template <typename Tile, typename Span>
__device__ inline bool prefetch_operands(const void* data, int32_t dtype, const Span& span,
                                         uint16_t* buffer) {
  if (!is_copied<Tile>(data, dtype, span)) return false;
  Tile::prefetch(static_cast<const uint16_t*>(data), span, buffer);
  end_copy_group();
  return true;
}

// The tiles of a span, rotated; zeros beyond its end.
template <typename Tile, typename Span>
__device__ inline void load_multiplied(const void* data, int32_t dtype, const Span& span, uint16_t* buffer,
                                       bool prefetched, const uint16_t* matrix, uint32_t nothing,
                                       float (&x)[Tile::kTiles][kTile]) {
  typename Tile::Operand operands[Tile::kProducts];
  if (prefetched) {
    wait_for_copies<0>();
#pragma unroll
    for (int i = 0; i < Tile::kProducts; ++i) Tile::load_prefetched(buffer, i, nothing, operands[i]);
  } else {
    const bool whole = is_copied<Tile>(data, dtype, span);
#pragma unroll
    for (int i = 0; i < Tile::kProducts; ++i) Tile::load(data, dtype, span, whole, i, nothing, operands[i]);
  }

  if constexpr (Tile::kRows == 128) {
    float left[2][16], right[2][16];
    Tile::multiply(operands[0], matrix, 0, left[0], left[1]);
    Tile::multiply(operands[0], matrix, 1, right[0], right[1]);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if constexpr (Tile::kArePaired) {
#pragma unroll
        for (int j = 0; j < kTile; ++j) x[2 * i][j] = left[i][j], x[2 * i + 1][j] = right[i][j];
      } else {
        exchange<16>(4, left[i], right[i], x[i], x[2 + i]);
      }
    }
  } else if constexpr (Tile::kRows == 64) {
#pragma unroll
    for (int i = 0; i < Tile::kProducts; ++i) Tile::multiply(operands[i], matrix, 0, x[2 * i], x[2 * i + 1]);
  } else if constexpr (Tile::kRows == 32) {
#pragma unroll
    for (int i = 0; i < Tile::kTiles; ++i) {
      float rows[2][8];
      Tile::multiply(operands[i], matrix, 0, rows[0], rows[1]);
      exchange<8>(2, rows[0], rows[1], x[i], x[i] + 8);
    }
  } else {
#pragma unroll
    for (int i = 0; i < Tile::kTiles; ++i) {
      float rows[2][2][4], halves[2][8];
      Tile::multiply(operands[2 * i], matrix, 0, rows[0][0], rows[0][1]);
      Tile::multiply(operands[2 * i + 1], matrix, 0, rows[1][0], rows[1][1]);
#pragma unroll
      for (int j = 0; j < 2; ++j) exchange<4>(1, rows[j][0], rows[j][1], halves[j], halves[j] + 4);
      exchange<8>(2, halves[0], halves[1], x[i], x[i] + 8);
    }
  }
}

}  // namespace qutlass::cuda
