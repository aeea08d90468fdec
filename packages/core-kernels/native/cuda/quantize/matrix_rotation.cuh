// Rotation by a matrix of 16, 32, 64 or 128 rows on tensor cores. A warp multiplies neighbouring
// elements, 2048 for 128 rows and else 1024, seen as rows of 128 or 64. It reads them from memory as the
// operand of a matrix instruction, and holds the product as quantizers want it: sixteen neighbours to a lane.
//
// An instruction puts two neighbours of a row of its product in a lane, and takes two neighbours of a row of
// its operand. Which column of the matrix is which column of the instruction is free, and so is the order of
// the sum: both are permuted in the copy of the matrix in shared memory, once. Matrices of 16 and 32 rows
// stand on the diagonal of one of 64 there, since zeros cost less than an exchange between lanes: the steps
// of a sum are in one block each, and those beside it add nothing.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cstdint>

#include "cuda/atoms/async_copy.cuh"
#include "cuda/atoms/mma.cuh"
#include "cuda/atoms/warpgroup_mma.cuh"
#include "cuda/quantize/sylvester.cuh"
#include "cuda/quantize/tile.cuh"

namespace qutlass::cuda {

// In shared memory: squares of 64 x 64, a column to 128 bytes, whose 16-byte parts are at their number
// exclusive-or the lowest bits of the column: as matrix instructions of warp groups take it, from a multiple
// of 1024 bytes on, and without conflicts of banks for others. size: of the matrix; 0 where there is none.
inline constexpr int kMatrixSide = 64;
__host__ __device__ constexpr int matrix_bytes(int size) {
  const int rows = size == 0 || size > kMatrixSide ? size : kMatrixSide;
  return rows * rows * static_cast<int>(sizeof(uint16_t));
}

__device__ inline uint32_t word_at(const uint4& words, unsigned i) {
  const uint32_t four[4] = {words.x, words.y, words.z, words.w};
  return four[i];
}

__device__ inline uint4 load_words(const uint16_t* from, bool aligned) {
  if (aligned) return *reinterpret_cast<const uint4*>(from);
  const auto word = [&](int i) { return from[2 * i] | static_cast<uint32_t>(from[2 * i + 1]) << 16; };
  return make_uint4(word(0), word(1), word(2), word(3));
}

// kPaired: of a matrix of 128 rows, tiles 64 elements apart lie in one lane, nothing is exchanged, and the
// product is made in two parts of 64 columns. Groups of 128 elements do not lie in neighbouring lanes then.
// kWarpgroups: the threads of a block are groups of four warps, which all multiply.
template <int kSize, bool kPaired = false, bool kWarpgroups = false>
struct MatrixTile {
  static constexpr int kRows = std::max(kSize, kMatrixSide);  // in shared memory
  static constexpr bool kIsExchanged = kSize == 128 && !kPaired;
  static constexpr bool kIsDiagonal = kSize < kRows;
  static constexpr int kParts = kPaired ? kRows / kMatrixSide : 1;
  static constexpr int kTiles = kRows == 128 && !kPaired ? 4 : 2;  // of a part, in a lane
  static constexpr int kWarpElements = 16 * kRows;

  static constexpr int kSums = kRows / kMatrixSide;       // of 64 products each, one after the other
  static constexpr int kRun = kSize == 16 ? 4 : 8;        // neighbours of a row that a lane reads
  static constexpr int kRuns = kMatrixSide / (4 * kRun);  // of a sum, for each lane
  static constexpr int kSteps = kMatrixSide / 16;
  static constexpr int kColumns = kMatrixSide / 8;  // instructions side by side

  // The row, among those of the warp, at row `lane / 4 + 8 * lower` of the operand of a product.
  __device__ static int row(int lower) {
    const int g = static_cast<int>(threadIdx.x % 32 / 4);
    return kIsExchanged ? 4 * (2 * (g & 1) + lower) + g / 2 : 8 * lower + g;
  }

  // Where a tile of a part of the product is in the span.
  __device__ static int position(int part, int tile) {
    if constexpr (kIsExchanged) return held_position<kTiles, kTile>(tile);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 4;
    return warp * kWarpElements + row(tile) * kRows + part * kMatrixSide + lane * kTile;
  }

  // Where row k of the matrix lies: in the order in which instructions meet what lanes have read.
  __device__ static unsigned sum_row(unsigned k) {
    const unsigned lane = k / kRun % 4, within = k % kRun;
    return k / (4 * kRun) * (4 * kRun) + within / 4 * 16 + within / 2 % 2 * 8 + 2 * lane + within % 2;
  }
  // Where column c lies: so that a lane gets sixteen neighbours.
  __device__ static unsigned product_col(unsigned c) {
    return c / 64 * 64 + c % 16 / 2 * 8 + 2 * (c / 16 % 4) + c % 2;
  }
  // Where both meet, for an even row.
  __device__ static uint32_t* place_of(uint16_t* shared, unsigned k, unsigned c) {
    const unsigned row = sum_row(k), col = product_col(c);
    const unsigned square = col / kMatrixSide * kSums + row / kMatrixSide;
    const unsigned at = (square * kMatrixSide + col % kMatrixSide) * kMatrixSide +
                        ((row % kMatrixSide / 8) ^ (col % 8)) * 8 + row % 8;
    return reinterpret_cast<uint32_t*>(shared + at);
  }

  // By all threads of a block; the caller synchronizes.
  __device__ static void stage(const uint16_t* matrix, uint16_t* shared) {
    if constexpr (kIsDiagonal) {
      constexpr unsigned kPieces = matrix_bytes(kSize) / sizeof(uint4);
      for (unsigned i = threadIdx.x; i < kPieces; i += blockDim.x)
        reinterpret_cast<uint4*>(shared)[i] = uint4{};
      __syncthreads();
    }
    constexpr unsigned kAcross = kSize / kChunk, kPairs = kSize / 2 * kAcross;  // of chunks of two rows
    constexpr int kBatch = kSize == 128 ? 4 : 1;                                // loads in flight
    const bool aligned = is_aligned<16>(matrix);
    for (unsigned first = threadIdx.x; first < kPairs; first += kBatch * blockDim.x) {
      uint4 loaded[kBatch][2];
#pragma unroll
      for (unsigned j = 0; j < kBatch; ++j) {
        const unsigned i = first + j * blockDim.x;
        if (i >= kPairs) break;
        const uint16_t* from = matrix + i / kAcross * 2 * kSize + i % kAcross * kChunk;
        loaded[j][0] = load_words(from, aligned);
        loaded[j][1] = load_words(from + kSize, aligned);
      }
#pragma unroll
      for (unsigned j = 0; j < kBatch; ++j) {
        const unsigned i = first + j * blockDim.x;
        if (i >= kPairs) break;
        const unsigned row = i / kAcross * 2, col = i % kAcross * kChunk;
#pragma unroll
        for (unsigned c = 0; c < kChunk; ++c) {
          const uint32_t pair = __byte_perm(word_at(loaded[j][0], c / 2), word_at(loaded[j][1], c / 2),
                                            c % 2 ? 0x7632 : 0x5410);
#pragma unroll
          for (unsigned block = 0; block < kRows; block += kSize)
            *place_of(shared, block + row, block + col + c) = pair;
        }
      }
    }
    if constexpr (kWarpgroups) fence_async_proxy();
  }

  // What the lane reads of two rows for a sum, in bfloat16, as instructions take it.
  struct Operand {
    uint32_t steps[kSteps][4];

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

  // visit(run, position): what the lane reads for a sum, and where that is in the span.
  template <typename Visit>
  __device__ static void for_each_run(int sum, const Visit& visit) {
    const int first = static_cast<int>(threadIdx.x / 32) * kWarpElements + sum * kMatrixSide;
    const int lane = static_cast<int>(threadIdx.x % 4);
#pragma unroll
    for (int lower = 0; lower < 2; ++lower) {
#pragma unroll
      for (int run = 0; run < kRuns; ++run)
        visit(lower * kRuns + run, first + row(lower) * kRows + (run * 4 + lane) * kRun);
    }
  }

  // A lane copies what it reads to a place of its own, and so waits for nobody else. Neighbours are 16 bytes
  // apart, or 8.
  __device__ static uint16_t* place(uint16_t* buffer, int sum, int run) {
    const int at = (static_cast<int>(threadIdx.x / 32) * kSums + sum) * 2 * kRuns + run;
    return buffer + (at * 32 + static_cast<int>(threadIdx.x % 32)) * kRun;
  }
  template <typename Span>
  __device__ static void prefetch(const uint16_t* data, const Span& span, uint16_t* buffer) {
#pragma unroll
    for (int sum = 0; sum < kSums; ++sum) {
      for_each_run(sum, [&](int run, int position) {
        copy_async<kRun * 2>(place(buffer, sum, run), data + span.offset(position));
      });
    }
  }
  __device__ static void load_prefetched(uint16_t* buffer, int sum, uint32_t nothing, Operand& operand) {
#pragma unroll
    for (int run = 0; run < 2 * kRuns; ++run) {
      uint32_t words[kRun / 2];
      copy_run(place(buffer, sum, run), words);
      operand.set(run, words, nothing);
    }
  }

  template <typename Span>
  __device__ static void load(const void* data, int32_t dtype, const Span& span, bool whole, int sum,
                              uint32_t nothing, Operand& operand) {
    for_each_run(sum, [&](int run, int position) {
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

  // The right operands of two neighbouring columns of a step.
  __device__ static void load_columns(const uint16_t* square, int step, int column, uint32_t (&b)[2][2]) {
    const int lane = threadIdx.x % 32;
    const int part = (step * 2 + lane / 8 % 2) ^ lane % 8;
    const int col = column * 8 + lane / 16 * 8 + lane % 8;
    load_matrices(square + col * kMatrixSide + part * 8, b[0][0], b[0][1], b[1][0], b[1][1]);
  }

  // sums (+)= the product with a square.
  __device__ static void multiply(Operand& operand, const uint16_t* square, bool add,
                                  float (&sums)[kColumns][4]) {
    if constexpr (kWarpgroups && kHasWarpgroupMma) {
      // Registers are ready before the instructions begin.
#pragma unroll
      for (int i = 0; i < kSteps * 4; ++i) pin(operand.steps[i / 4][i % 4]);
      warpgroup_begin();
#pragma unroll
      for (int step = 0; step < kSteps; ++step)
        multiply_async(sums, operand.steps[step], swizzled_rows(square, step * 2), add || step > 0);
      warpgroup_commit();
      warpgroup_wait<0>();
#pragma unroll
      for (int i = 0; i < kColumns * 4; ++i) pin(sums[i / 4][i % 4]);
    } else {
#pragma unroll
      for (int i = 0; i < kColumns * 4 && !add; ++i) sums[i / 4][i % 4] = 0;
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
#pragma unroll
        for (int column = 0; column < kColumns; column += 2) {
          uint32_t b[2][2];
          load_columns(square, step, column, b);
          multiply_add(sums[column], operand.steps[step], b[0]);
          multiply_add(sums[column + 1], operand.steps[step], b[1]);
        }
      }
    }
  }

  // The same where NaN or infinity must not meet the zeros beside the diagonal. Not inline, for its
  // registers.
  __device__ __noinline__ static void multiply_apart(const Operand* operand, const uint16_t* square,
                                                     float (*sums)[4]) {
    const int own = static_cast<int>(threadIdx.x) % 4 * kTile / kSize;  // block on the diagonal
    for (int column = 0; column < kColumns; column += 2) {
      for (int block = 0; block < kRows / kSize; ++block) {
        float of_block[2][4] = {};
        for (int step = block * kSize / 16; step < (block + 1) * kSize / 16; ++step) {
          uint32_t b[2][2];
          load_columns(square, step, column, b);
          multiply_add(of_block[0], operand->steps[step], b[0]);
          multiply_add(of_block[1], operand->steps[step], b[1]);
        }
        if (block != own) continue;
#pragma unroll
        for (int i = 0; i < 8; ++i) sums[column + i / 4][i % 4] = of_block[i / 4][i % 4];
      }
    }
  }

  // The lane's sixteen columns of two rows, of 64 columns of the product from 64 * half on.
  // load(sum, operand): what it reads for a sum.
  template <typename Load>
  __device__ static void multiply(const Load& load, const uint16_t* matrix, int half,
                                  float (&rows)[2][kTile]) {
    float sums[kColumns][4];
#pragma unroll
    for (int sum = 0; sum < kSums; ++sum) {
      const uint16_t* square = matrix + (half * kSums + sum) * kMatrixSide * kMatrixSide;
      Operand operand;
      load(sum, operand);
      multiply(operand, square, sum > 0, sums);
      if constexpr (kIsDiagonal) {
        // All of a row are not finite if one of its elements is not.
        if (!__all_sync(0xFFFFFFFFu, fabsf(sums[0][0]) <= FLT_MAX && fabsf(sums[0][2]) <= FLT_MAX)) {
          // Copies, so that those with addresses are not in memory on the usual way.
          const Operand same = operand;
          float of_blocks[kColumns][4];
          multiply_apart(&same, square, of_blocks);
#pragma unroll
          for (int i = 0; i < kColumns * 4; ++i) sums[i / 4][i % 4] = of_blocks[i / 4][i % 4];
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      rows[0][i] = sums[i / 2][i % 2];
      rows[1][i] = sums[i / 2][2 + i % 2];
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

// The tiles of a part of a span, rotated; zeros beyond its end.
template <typename Tile, typename Span>
__device__ inline void load_multiplied(const void* data, int32_t dtype, const Span& span, uint16_t* buffer,
                                       bool prefetched, const uint16_t* matrix, uint32_t nothing, int part,
                                       float (&x)[Tile::kTiles][kTile]) {
  if (prefetched) wait_for_copies<0>();
  const bool whole = !prefetched && is_copied<Tile>(data, dtype, span);
  const auto load = [&](int sum, typename Tile::Operand& operand) {
    if (prefetched) return Tile::load_prefetched(buffer, sum, nothing, operand);
    Tile::load(data, dtype, span, whole, sum, nothing, operand);
  };
  if constexpr (Tile::kIsExchanged) {
    float left[2][kTile], right[2][kTile];
    Tile::multiply(load, matrix, 0, left);
    Tile::multiply(load, matrix, 1, right);
#pragma unroll
    for (int i = 0; i < 2; ++i) exchange<kTile>(4, left[i], right[i], x[i], x[2 + i]);
  } else {
    Tile::multiply(load, matrix, part, x);
  }
}

}  // namespace qutlass::cuda
