// D = A B^T for few rows of A: a stream of weights that passes tensor cores on its way.
//
// Weights are the 16-row operand of mma.m16n8k16 and rows of A its 8 columns. Clusters of blocks own row
// blocks of B, their blocks share K, so that the columns of A that a block multiplies fit into its shared
// memory. Its warps take equal stretches of its tiles. A lane copies the 16 bytes that it will multiply into
// a ring in shared memory of its own, several tiles ahead: enough bytes are in flight without registers for
// them, and no warp waits for another. The ring fills before the kernel waits for the one before it, since
// weights do not depend on it. At the end of a few row blocks the sums of warps and blocks meet.
#pragma once

#include <type_traits>

#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/atoms/mma.cuh"
#include "cuda/skinny/split.cuh"
#include "shared_memory.h"

namespace qutlass::cuda {

template <TileScale kScale>
__device__ inline float tile_scale(const uint8_t* scales, int i) {
  if constexpr (kScale == TileScale::kBF16) {
    const uint32_t pair = reinterpret_cast<const uint32_t*>(scales)[i / 2];
    return __uint_as_float(i % 2 ? pair & 0xFFFF0000u : pair << 16);
  } else if constexpr (kScale == TileScale::kF32) {
    return reinterpret_cast<const float*>(scales)[i];
  } else {
    // 2^-127 is not normal in float32.
    return __uint_as_float(max(static_cast<uint32_t>(scales[i]) << 23, 0x00400000u));
  }
}

// Adds the products of a tile of each row block. Matrix instructions add up a group, or a unit of a larger
// one, and float32 additions the rest: short chains, and sums that are rounded, not cut off.
template <typename T, typename Shape>
__device__ inline void multiply_tile(const RingStage<T, Shape>& stage,
                                     const typename Activations<T, Shape>::Rows& rows, int tile,
                                     Sums<Shape>& sums) {
  constexpr int kGroups = T::kScaledSums && T::kGroups > 2 ? T::kGroups / 2 : 1;  // of a unit
  constexpr int kGroupSteps = T::kSteps / kGroups;
  // Units whose chains go side by side, where registers suffice.
  constexpr bool kManyParts = T::kZeroPoints && T::kGroups == 4 && Shape::kBlocks == 1;
  constexpr int kUnits = Shape::kTokens == 1 && !kManyParts ? 2 : 1;
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int first = 0; first < 2; first += kUnits) {
    uint32_t a[kUnits][Shape::kTokens][T::kSteps][2];
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
#pragma unroll
      for (int n = 0; n < Shape::kTokens; ++n) {
#pragma unroll
        for (int step = 0; step < T::kSteps; step += 2) {
          const uint4 part = Activations<T, Shape>::load(rows, n, tile, first + u, step);
          a[u][n][step][0] = part.x, a[u][n][step][1] = part.y;
          a[u][n][step + 1][0] = part.z, a[u][n][step + 1][1] = part.w;
        }
      }
    }
#pragma unroll
    for (int r = 0; r < Shape::kBlocks; ++r) {
      uint32_t words[kUnits][4];
      RowParts parts[kUnits];
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        const uint4 codes = stage.codes[r][first + u][lane];
        words[u][0] = codes.x, words[u][1] = codes.y, words[u][2] = codes.z, words[u][3] = codes.w;
        parts[u] = kExcess<T::kCode>;
        if constexpr (T::kBy16) {
          parts[u] = expand_scales_by_16(reinterpret_cast<const uint16_t*>(stage.lane_scales(r))[first + u]);
        }
      }
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const auto scale_of = [&](int u) { return ((first + u) * kGroups + group) * T::kGroups / (2 * kGroups); };
        float products[kUnits][Shape::kTokens][4] = {};
        if constexpr (T::kZeroPoints) {
#pragma unroll
          for (int u = 0; u < kUnits; ++u) {
            const uint32_t pair = reinterpret_cast<const uint32_t*>(stage.lane_zeros(r))[scale_of(u)];
            parts[u] = {__byte_perm(pair, 0, 0x1010), __byte_perm(pair, 0, 0x3232)};
          }
        }
#pragma unroll
        for (int i = 0; i < kGroupSteps; ++i) {
          const int step = group * kGroupSteps + i;
#pragma unroll
          for (int u = 0; u < kUnits; ++u) {
            uint32_t b[4];
            expand<T::kCode>(words[u] + step * kWordsPerStep<T::kCode>, parts[u], b);
#pragma unroll
            for (int n = 0; n < Shape::kTokens; ++n) multiply_add(products[u][n], b, a[u][n][step]);
          }
        }
#pragma unroll
        for (int u = 0; u < kUnits; ++u) {
          float scales[2] = {1, 1};
          if constexpr (T::kScaledSums) {
            scales[0] = tile_scale<T::kScale>(stage.lane_scales(r), 2 * scale_of(u));
            scales[1] = tile_scale<T::kScale>(stage.lane_scales(r), 2 * scale_of(u) + 1);
          }
#pragma unroll
          for (int n = 0; n < Shape::kTokens; ++n) {
#pragma unroll
            for (int j = 0; j < 4; ++j) {
              float& sum = sums.values[r][n][j];
              sum = T::kScaledSums ? fmaf(products[u][n][j], scales[j / 2], sum) : sum + products[u][n][j];
            }
          }
        }
      }
    }
  }
}

template <typename T, typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kResident)
    skinny_kernel(const __grid_constant__ SkinnyProblem p, const __grid_constant__ SkinnySplit split) {
  extern __shared__ __align__(16) uint8_t shared[];
  using Stage = RingStage<T, Shape>;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int stages = Shape::kOnePass ? Shape::kStages : split.stages;
  const int chunks = Shape::kOnePass ? 1 : split.chunks, buffers = Shape::kOnePass ? 1 : split.buffers;
  Stage* const ring = reinterpret_cast<Stage*>(shared + Way<Shape>::kBytes) + warp * stages;
  uint8_t* const of_a = shared + Way<Shape>::kBytes + Shape::kWarps * stages * sizeof(Stage);

  const Share<Shape> share(p, split);
  Way<Shape> way(split, share, shared);
  Feed<T, Shape> feed(p, split, share, way);
  const Meeting<Shape> meeting(p, split, share, of_a + Activations<T, Shape>::bytes(split, p.m));
  const auto fill = [&](int first, int end) {
    for (int i = first; i < min(end, stages); ++i) {
      feed.fetch_into(ring[i]);
      end_copy_group();
    }
  };
  fill(0, Shape::kEarly);
  const Activations<T, Shape> activations(p, split, share, of_a);
  const bool clustered = log_cluster<Shape>(split) > 0;
  if (clustered) arrive_at_cluster();
  launch_dependents();
  wait_for_dependency();
  for (int i = 0; i < buffers; ++i) {
    activations.request(i, i);
    end_copy_group();
  }
  fill(Shape::kEarly, Shape::kStages);
  if (threadIdx.x == Shape::kThreads - 1) meeting.set_factor(p.epilogue.factor() * kSumFactor<T::kCode>);
  // Blocks of the cluster have started.
  if (clustered) wait_for_cluster();

  // Chunks that do not all have a buffer take turns.
  const bool turns = chunks > buffers;
  Stage* stage = ring;
  bool odd = false;
  int buffer = 0, arrived = 0;
  int newer = 0;  // groups of copies, at least, than the one with the next chunk
  for (;;) {
    const int sets = way.sets(split);
    meeting.open(sets);
    Sums<Shape> sums;
    for (way.chunk = 0; way.chunk < chunks; ++way.chunk) {
      if (turns || arrived < chunks) {
        if (arrived == 0) {
          wait_for_copies_but<Shape::kStages - 1>(buffers - 1 + max(stages - Shape::kEarly, 0));
        } else {
          wait_for_copies_but<Shape::kStages - 1>(newer);
        }
        __syncthreads();
        // The chunk before this one has left its buffer. Its successor's copies go with the next group.
        const int next = way.chunk + buffers - 1;
        if (turns && arrived > 0 && (next < chunks || !way.last_round(split))) {
          activations.request(buffer == 0 ? buffers - 1 : buffer - 1, next < chunks ? next : next - chunks);
        }
        ++arrived;
      }
      const auto rows = activations.rows(buffer);
      way.open(split);
      // Sums of one set stay in registers, those of several go to their slots.
      const bool one_set = way.one_set(split), last_chunk = way.chunk + 1 == chunks;
      newer = -1;
      while (way.left() > 0) {
        const auto piece = way.next(split, share);
        newer += piece.tiles;
        for (int tile = piece.tile; tile < piece.tile + piece.tiles; ++tile) {
          wait_for_copies_but<Shape::kStages - 1>(stages - 1);
          __syncwarp();
          multiply_tile<T, Shape>(*stage, rows, tile, sums);
          if constexpr (!Shape::kOnePass) {
            __syncwarp();
            feed.fetch_into(*stage);
          }
          end_copy_group();
          stage = stage == ring + stages - 1 ? ring : stage + 1;
        }
        if (!one_set || last_chunk) {
          meeting.store(warp + piece.set, sums, !one_set && way.chunk > 0);
          sums = {};
        }
      }
      if (newer < 0) {
        end_copy_group();
        newer = 0;
      }
      if (++buffer == buffers) buffer = 0;
    }
    __syncthreads();
    meeting.finish(way.round, sets, odd);
    if (way.last_round(split)) return;
    way.round += split.round_sets;
    odd = !odd;
    __syncthreads();
  }
}

template <typename T, typename Shape>
void launch_split(const SkinnyProblem& p, const SkinnySplit& split, const SkinnyLaunch& launch) {
  const int bytes = shared_bytes<T, Shape>(p, split);
  allow_shared_memory<skinny_kernel<T, Shape>>(bytes);
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = 1u << split.log_cluster;
  attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = static_cast<unsigned>(split.clusters << split.log_cluster);
  config.blockDim = Shape::kThreads;
  config.dynamicSmemBytes = static_cast<size_t>(bytes);
  config.stream = launch.stream;
  config.attrs = attributes;
  config.numAttrs = launch.device.major < 9 ? 0 : split.log_cluster == 0 ? 1 : 2;
  check(cudaLaunchKernelEx(&config, skinny_kernel<T, Shape>, p, split), "matmul");
}

// A warp has at most as many tiles as its ring, and a multiprocessor has room for the block of the next
// kernel, whose weights come in meanwhile.
template <int kTokens>
using OnePassShape = std::conditional_t<kTokens == 1, SkinnyShape<1, 1, 16, 4, 4, 2, true>,
                                        SkinnyShape<2, 2, 8, 4, 2, 2, true>>;
// A block has the whole multiprocessor, and as much as possible on its way.
template <int kTokens>
using StreamShape = std::conditional_t<kTokens == 1, SkinnyShape<2, 1, 16, 3, 2, 1, false>,
                                       SkinnyShape<2, 2, 12, 3, 3, 1, false>>;

template <typename T, int kTokens>
void launch_tokens(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  using OnePass = OnePassShape<kTokens>;
  const SkinnySplit split = one_pass_split<T, OnePass>(p, launch);
  if (split.clusters > 0) return launch_split<T, OnePass>(p, split, launch);
  using Stream = StreamShape<kTokens>;
  launch_split<T, Stream>(p, stream_split<T, Stream>(p, launch, runs_in_clusters<skinny_kernel<T, Stream>>()), launch);
}

// One row of A per column of a fragment: up to 8 rows take one fragment, up to 16 two.
template <typename T>
void launch_tiles(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  return p.m <= 8 ? launch_tokens<T, 1>(p, launch) : launch_tokens<T, 2>(p, launch);
}

}  // namespace qutlass::cuda
