// D = A B^T for few rows of A: a stream of weights that passes tensor cores on its way.
//
// Weights are the 16-row operand of mma.m16n8k16 and rows of A its 8 columns. A block owns row blocks of B,
// its warps share K. A lane copies the 16 bytes that it will multiply, and its scales, into a ring in shared
// memory of its own, several tiles ahead: enough bytes are in flight without registers for them, and nobody
// waits for anybody. The ring fills before the kernel waits for the one before it, since weights do not
// depend on it. At the end of a few row blocks the warps' sums meet in shared memory and are added in the
// order of the warps.
#pragma once

#include <algorithm>

#include "cuda/atoms/async_copy.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/atoms/mma.cuh"
#include "cuda/gemm/epilogue.cuh"
#include "cuda/skinny/expand.cuh"
#include "cuda/skinny/skinny.h"
#include "shared_memory.h"

namespace qutlass::cuda {

inline constexpr int kWarps = 16;
inline constexpr int kThreads = kWarps * 32;

// The format as constants.
template <TileCode kCode_, TileScale kScale_, int kGroups_, bool kZeroPoints_>
struct Tiles {
  static constexpr TileFormat kFormat{kCode_, kScale_, kGroups_, kZeroPoints_};
  static constexpr TileCode kCode = kCode_;
  static constexpr TileScale kScale = kScale_;
  static constexpr int kGroups = kGroups_;
  static constexpr bool kZeroPoints = kZeroPoints_;
  static constexpr bool kBy16 = kCode == TileCode::kE2M1By16;
  static constexpr int kCols = tile_cols(kCode);
  static constexpr int kSteps = kStepsPerUnit<kCode>;
  static constexpr int kScaleBytes = kFormat.lane_scale_bytes();
  static constexpr int kZeroBytes = kFormat.lane_zero_bytes();
  static constexpr int kTileScaleBytes = kFormat.tile_scale_bytes();
  // Sums are scaled where a group ends; with no group inside of a row, never.
  static constexpr bool kScaledSums = kScale != TileScale::kNone && !kBy16;
  static constexpr int kStepsPerGroup = 2 * kSteps / (kScaledSums ? kGroups : 1);
};

// Shapes of the kernel: row blocks and tiles of 8 rows of A that a warp has at once, stages of its ring, and
// blocks of threads that a multiprocessor has room for.
template <int kBlocks_, int kTokens_, int kStages_, int kResident_>
struct SkinnyShape {
  static constexpr int kBlocks = kBlocks_, kTokens = kTokens_, kStages = kStages_, kResident = kResident_;
  static constexpr int kRows = kBlocks * kTileRows;
};

// A warp's way through its tiles: `set` counts groups of row blocks. Warps take turns with the parts of K,
// which may differ by a tile.
struct Cursor {
  int set, end_set, tile, end_tile, tiles;

  __device__ Cursor(int first_set, int last_set, int tiles_along_k)
      : set(first_set), end_set(last_set), tiles(tiles_along_k) {
    open();
    skip();
  }
  __device__ bool valid() const { return set < end_set; }
  __device__ void advance() {
    ++tile;
    skip();
  }

 private:
  __device__ void open() {
    const int turn = (static_cast<int>(threadIdx.x) / 32 + set) % kWarps;
    tile = tiles * turn / kWarps;
    end_tile = tiles * (turn + 1) / kWarps;
  }
  __device__ void skip() {
    while (tile >= end_tile && set < end_set) {
      ++set;
      open();
    }
  }
};

// One stage of a warp's ring, for the row blocks that it has at once. Everything in it belongs to one lane.
template <typename T, typename Shape>
struct RingStage {
  alignas(16) uint4 codes[Shape::kBlocks][2][32];
  alignas(16) uint8_t scales[Shape::kBlocks][32][T::kScaleBytes ? T::kScaleBytes : 4];
  alignas(16) uint8_t zeros[Shape::kBlocks][32][T::kZeroBytes ? T::kZeroBytes : 4];

  __device__ void fetch(const SkinnyProblem& p, const Cursor& at) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int r = 0; r < Shape::kBlocks; ++r) {
      const int64_t tile = static_cast<int64_t>(at.set * Shape::kBlocks + r) * p.tiles + at.tile;
      const uint8_t* from = p.codes + tile * kTileBytes + lane * 16;
      copy_async<16>(&codes[r][0][lane], from);
      copy_async<16>(&codes[r][1][lane], from + kTileBytes / 2);
      const uint8_t* scale = p.scales + tile * T::kTileScaleBytes;
      copy_async<T::kScaleBytes>(scales[r][lane], scale + (T::kBy16 ? lane : lane / 4) * T::kScaleBytes);
      copy_async<T::kZeroBytes>(zeros[r][lane], scale + 8 * T::kScaleBytes + lane / 4 * T::kZeroBytes);
    }
  }
};

// Stages of a warp's ring: what the shape asks for, or fewer where scales make them large.
template <typename T, typename Shape>
inline constexpr int kRingStages =
    std::clamp(static_cast<int>((160 << 10) / Shape::kResident / (kWarps * sizeof(RingStage<T, Shape>))), 2,
               Shape::kStages);

template <TileScale kScale>
__device__ inline float tile_scale(const uint8_t* scales, int i) {
  if constexpr (kScale == TileScale::kBF16) {
    return bf16_to_f32(reinterpret_cast<const uint16_t*>(scales)[i]);
  } else if constexpr (kScale == TileScale::kF32) {
    return reinterpret_cast<const float*>(scales)[i];
  } else {
    // 2^-127 is not normal in float32.
    return __uint_as_float(max(static_cast<uint32_t>(scales[i]) << 23, 0x00400000u));
  }
}

// The part of A that a lane multiplies with a unit: two words for each step of its row of A.
template <typename T>
struct Activations {
  uint32_t words[T::kSteps][2];

  // row: of A, from column 0; k: the first column of the unit. Eight columns are inside of A or outside.
  __device__ void load(const uint8_t* row, int k, int end) {
#pragma unroll
    for (int step = 0; step < T::kSteps; step += 2) {
      const int first = k + tile_column(T::kCode, 0, static_cast<int>(threadIdx.x), step, 0, 0);
      const uint4 part = first < end ? *reinterpret_cast<const uint4*>(row + 2 * first) : uint4{};
      words[step][0] = part.x, words[step][1] = part.y;
      words[step + 1][0] = part.z, words[step + 1][1] = part.w;
    }
  }
};

// The sums of a warp: registers of mma fragments, [row block][tile of A].
template <typename Shape>
struct Sums {
  float values[Shape::kBlocks][Shape::kTokens][4] = {};
};

// Adds the products of a tile of each row block.
template <typename T, typename Shape>
__device__ inline void multiply_tile(const RingStage<T, Shape>& stage,
                                     const uint8_t* const (&rows)[Shape::kTokens], int k, int end,
                                     Sums<Shape>& sums) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  Sums<Shape> group;
#pragma unroll
  for (int unit = 0; unit < 2; ++unit) {
    Activations<T> a[Shape::kTokens];
#pragma unroll
    for (int n = 0; n < Shape::kTokens; ++n) a[n].load(rows[n], k + unit * (T::kCols / 2), end);
#pragma unroll
    for (int r = 0; r < Shape::kBlocks; ++r) {
      const uint4 codes = stage.codes[r][unit][lane];
      const uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
      RowParts parts{0x43084308u, 0x43084308u};  // 128 and the excess of 8
      if constexpr (T::kBy16) {
        parts = expand_scales_by_16(reinterpret_cast<const uint16_t*>(stage.scales[r][lane])[unit]);
      }
#pragma unroll
      for (int step = 0; step < T::kSteps; ++step) {
        const int index = unit * T::kSteps + step, in_group = index % T::kStepsPerGroup;
        if constexpr (T::kZeroPoints) {
          if (in_group == 0 || step == 0) {
            const uint32_t pair =
                reinterpret_cast<const uint32_t*>(stage.zeros[r][lane])[index / T::kStepsPerGroup];
            parts = {__byte_perm(pair, 0, 0x1010), __byte_perm(pair, 0, 0x3232)};
          }
        }
        uint32_t b[4];
        expand<T::kCode>(words + step * kWordsPerStep<T::kCode>, parts, b);
#pragma unroll
        for (int n = 0; n < Shape::kTokens; ++n) {
          float (&into)[4] = T::kScaledSums ? group.values[r][n] : sums.values[r][n];
          if (T::kScaledSums && in_group == 0) into[0] = into[1] = into[2] = into[3] = 0;
          multiply_add(into, b, a[n].words[step]);
        }
        if constexpr (T::kScaledSums) {
          if (in_group == T::kStepsPerGroup - 1) {
            const int at = index / T::kStepsPerGroup * 2;
            const float low = tile_scale<T::kScale>(stage.scales[r][lane], at);
            const float high = tile_scale<T::kScale>(stage.scales[r][lane], at + 1);
#pragma unroll
            for (int n = 0; n < Shape::kTokens; ++n) {
#pragma unroll
              for (int i = 0; i < 4; ++i) {
                float& sum = sums.values[r][n][i];
                sum = fmaf(group.values[r][n][i], i < 2 ? low : high, sum);
              }
            }
          }
        }
      }
    }
  }
}

// Where the warps' sums of a row block meet: [set][warp][row of A][row of B].
template <typename Shape>
struct Meeting {
  float* sums;
  int tokens;  // rows of A that are stored

  __device__ float* part(int set, int warp) const {
    return sums + static_cast<int64_t>(set * kWarps + warp) * tokens * Shape::kRows;
  }
  __device__ void store(int set, const Sums<Shape>& mine) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float* to = part(set, static_cast<int>(threadIdx.x) / 32);
#pragma unroll
    for (int r = 0; r < Shape::kBlocks; ++r) {
#pragma unroll
      for (int n = 0; n < Shape::kTokens; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = n * 8 + lane % 4 * 2 + i % 2;
          if (token < tokens)
            to[token * Shape::kRows + r * kTileRows + lane / 4 + i / 2 * 8] = mine.values[r][n][i];
        }
      }
    }
  }
  // Adds up and writes `sets` sets, the first of which is row block set `first` of B.
  __device__ void finish(const SkinnyProblem& p, double factor, int first, int sets) const {
    const int per_set = tokens * Shape::kRows;
    for (int i = static_cast<int>(threadIdx.x); i < sets * per_set; i += kThreads) {
      const int set = i / per_set, at = i % per_set;
      const int token = at / Shape::kRows, row = (first + set) * Shape::kRows + at % Shape::kRows;
      float sum = 0;
#pragma unroll
      for (int warp = 0; warp < kWarps; ++warp) sum += part(set, warp)[at];
      if (row < p.n) p.epilogue.store(token, row, factor * p.row_factors[row], sum);
    }
  }
};

// meeting_sets: that shared memory has room for. Blocks own equal parts of the sets of row blocks.
template <typename T, typename Shape>
__global__ void __launch_bounds__(kThreads, Shape::kResident)
    skinny_kernel(const __grid_constant__ SkinnyProblem p, const int sets, const int meeting_sets) {
  extern __shared__ __align__(16) uint8_t shared[];
  constexpr int kStages = kRingStages<T, Shape>;
  using Stage = RingStage<T, Shape>;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  Stage* ring = reinterpret_cast<Stage*>(shared) + warp * kStages;
  const Meeting<Shape> meeting{reinterpret_cast<float*>(shared + kWarps * kStages * sizeof(Stage)), p.m};

  const int block = static_cast<int>(blockIdx.x), blocks = static_cast<int>(gridDim.x);
  const int first = static_cast<int>(static_cast<int64_t>(sets) * block / blocks);
  const int last = static_cast<int>(static_cast<int64_t>(sets) * (block + 1) / blocks);
  Cursor ahead(first, last, p.tiles);
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) {
    if (ahead.valid()) {
      ring[i].fetch(p, ahead);
      ahead.advance();
    }
    end_copy_group();
  }
  launch_dependents();
  wait_for_dependency();

  const double factor = p.epilogue.factor() * (T::kBy16 ? kBy16Factor : 1);
  const uint8_t* rows[Shape::kTokens];
#pragma unroll
  for (int n = 0; n < Shape::kTokens; ++n) {
    // Columns beyond the rows of A repeat the last; what comes out of them is not stored.
    rows[n] = p.a + static_cast<int64_t>(min(n * 8 + lane / 4, p.m - 1)) * p.k * 2;
  }

  int stage = 0;
  for (int begin = first; begin < last; begin += meeting_sets) {
    const int end = min(begin + meeting_sets, last);
    for (int set = begin; set < end; ++set) {
      const int turn = (warp + set) % kWarps;
      Sums<Shape> sums;
      for (int tile = p.tiles * turn / kWarps; tile < p.tiles * (turn + 1) / kWarps; ++tile) {
        wait_for_copies<kStages - 2>();
        multiply_tile<T, Shape>(ring[stage], rows, tile * T::kCols, p.k, sums);
        // The stage before this one is free.
        if (ahead.valid()) {
          ring[stage == 0 ? kStages - 1 : stage - 1].fetch(p, ahead);
          ahead.advance();
        }
        end_copy_group();
        stage = stage == kStages - 1 ? 0 : stage + 1;
      }
      meeting.store(set - begin, sums);
    }
    __syncthreads();
    meeting.finish(p, factor, begin, end - begin);
    if (end < last) __syncthreads();
  }
}

template <typename T, typename Shape>
void launch_shape(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  const int sets = (p.row_blocks + Shape::kBlocks - 1) / Shape::kBlocks;
  const int grid = std::min(Shape::kResident * launch.device.multiProcessorCount, sets);
  const int per_block = (sets + grid - 1) / grid;
  const int bytes_per_set = kWarps * p.m * Shape::kRows * static_cast<int>(sizeof(float));
  constexpr int kMeetingBytes = 32 << 10;
  const int meeting_sets = std::clamp(kMeetingBytes / bytes_per_set, 1, per_block);
  const int bytes = kWarps * kRingStages<T, Shape> * static_cast<int>(sizeof(RingStage<T, Shape>)) +
                    meeting_sets * bytes_per_set;
  allow_shared_memory<skinny_kernel<T, Shape>>(bytes);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = static_cast<unsigned>(grid);
  config.blockDim = kThreads;
  config.dynamicSmemBytes = static_cast<size_t>(bytes);
  config.stream = launch.stream;
  config.attrs = &attribute;
  config.numAttrs = launch.device.major >= 9 ? 1 : 0;
  check(cudaLaunchKernelEx(&config, skinny_kernel<T, Shape>, p, sets, meeting_sets), "matmul");
}

// One row of A per column of a fragment: up to 8 rows take one fragment, up to 16 two.
template <typename T>
void launch_tiles(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  if (p.m <= 8) {
    launch_shape<T, SkinnyShape<1, 1, 4, 2>>(p, launch);
  } else {
    launch_shape<T, SkinnyShape<2, 2, 3, 1>>(p, launch);
  }
}

}  // namespace qutlass::cuda
