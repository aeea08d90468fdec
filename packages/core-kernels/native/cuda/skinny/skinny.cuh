// D = A B^T for few rows of A: a stream of weights that passes tensor cores on its way.
//
// Weights are the 16-row operand of mma.m16n8k16 and rows of A its 8 columns. A block owns row blocks of B,
// and its warps have equal stretches of their tiles. A lane copies the 16 bytes that it will multiply into a
// ring in shared memory of its own, several tiles ahead: enough bytes are in flight without registers for
// them, and no warp waits for another. The ring fills before the kernel waits for the one before it, since
// weights do not depend on it. At the end of a few row blocks the sums of the warps meet in shared memory.
// Row blocks of several weights are numbered through; a set of them belongs to one.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/atoms/mma.cuh"
#include "cuda/skinny/integers.cuh"
#include "cuda/skinny/meeting.cuh"
#include "launch.h"
#include "shared_memory.h"

namespace qutlass::cuda {

// Adds the products of a tile of each row block. Matrix instructions add up a group, or a unit of a larger
// one, and float32 additions the rest: short chains, and sums that are rounded, not cut off.
template <bool kWhole, typename T, typename Shape>
__device__ inline void multiply_tile(const RingStage<T, Shape>& stage,
                                     const Activations<T, Shape>& activations, const uint8_t* table, int tile,
                                     Sums<T, Shape>& sums) {
  constexpr int kGroups = T::kScaledSums && T::kGroups > 2 ? T::kGroups / 2 : 1;  // of a unit
  constexpr int kGroupSteps = T::kSteps / kGroups;
  // Units whose chains go side by side.
  constexpr int kUnits = Shape::kTokens == 1 ? 2 : 1;
  // With two fragments of A, ptxas spills some registers for sm_100 and sm_120 unless units are a loop.
#if __CUDA_ARCH__ >= 1000
  constexpr int kUnrolled = Shape::kTokens == 2 ? 1 : 2;
#else
  constexpr int kUnrolled = 2;
#endif
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll kUnrolled
  for (int first = 0; first < 2; first += kUnits) {
    uint32_t a[kUnits][Shape::kTokens][T::kSteps][2];
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
#pragma unroll
      for (int n = 0; n < Shape::kTokens; ++n) {
#pragma unroll
        for (int step = 0; step < T::kSteps; step += 2) {
          const uint4 part = activations.template load<kWhole>(n, tile, first + u, step);
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
        const auto scale_of = [&](int u) {
          return ((first + u) * kGroups + group) * T::kGroups / (2 * kGroups);
        };
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
            if constexpr (T::kHasTable) {
              uint32_t low[4];
              Nf4Table(table).expand(words[u][step], b, low);
#pragma unroll
              for (int n = 0; n < Shape::kTokens; ++n) multiply_add(products[u][n], low, a[u][n][step]);
            } else {
              expand<T::kCode>(words[u] + step * kWordsPerStep<T::kCode>, parts[u], b);
            }
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

template <bool kWhole, typename T, typename Shape>
__device__ inline void add_tile(const RingStage<T, Shape>& stage, const Activations<T, Shape>& activations,
                                const uint8_t* table, int tile, Sums<T, Shape>& sums) {
  if constexpr (T::kIntegers) {
    multiply_integer_tile<kWhole>(stage, activations, tile, sums);
  } else {
    multiply_tile<kWhole>(stage, activations, table, tile, sums);
  }
}

template <typename T, typename Shape, typename Group>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kResident)
    skinny_kernel(const __grid_constant__ Group p, const __grid_constant__ SkinnySplit split) {
  extern __shared__ __align__(16) uint8_t shared[];
  using Stage = RingStage<T, Shape>;
  using Work = Items<Shape, Group>;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int stages = Shape::kOnePass ? Shape::kStages : split.stages;
  uint8_t* const table = shared + Way<Shape>::kBytes + Work::bytes(split);
  Stage* const ring = reinterpret_cast<Stage*>(table + T::kTableBytes) + warp * stages;
  uint8_t* const of_a = table + T::kTableBytes + Shape::kWarps * stages * sizeof(Stage);

  const Work items(p, split, shared + Way<Shape>::kBytes);
  if constexpr (Work::kOfExperts) {
    if (items.first_set == items.end_set) return;
  }
  Way<Shape> way(p, split, items.first_set, items.end_set, shared);
  Feed<T, Shape, Group> feed(p, items, split, way);
  const Meeting<T, Shape, Group> meeting(p, items, split, of_a + Activations<T, Shape>::bytes(p.m, p.tiles));
  for (int i = 0; i < stages; ++i) {
    feed.fetch_into(ring[i]);
    end_copy_group();
    // The first stage keeps memory busy. More at once would only be in the way of the kernel before, where
    // that still runs: each of its own loads would take as long as all of this.
#if __CUDA_ARCH__ >= 900
    if constexpr (!Shape::kOnePass && !Work::kOfExperts) {
      if (i == 0) wait_for_copies<0>();
    }
#endif
  }
  if constexpr (T::kHasTable) {
    Nf4Table::fill(table);
    __syncthreads();
  }
  const Activations<T, Shape> activations(p, of_a);
  launch_dependents();
  if constexpr (!Work::kOfExperts) wait_for_dependency();
  float a_global = 1;
  if constexpr (Shape::kMadeA) a_global = activations.make(meeting.a_factors());
  if constexpr (Shape::kOnePass) activations.request();
  meeting.set_factors(T::kSumFactor, a_global);
  if constexpr (Shape::kMadeA) __syncthreads();
  if constexpr (Shape::kOnePass) {
    end_copy_group();
    wait_for_copies<0>();
    __syncthreads();
  } else {
    // Row factors are in the first group, also of warps that have no tile to wait for.
    wait_for_copies_but<Shape::kStages - 1>(stages - 1);
  }

  Stage* stage = ring;
  for (;;) {
    const int sets = way.sets(split);
    meeting.open(way.round, sets);
    while (way.left() > 0) {
      const auto piece = way.next(p);
      const auto& of_set = items.turned(activations, way.round + piece.set);
      Sums<T, Shape> sums;
      for (int tile = piece.tile; tile < piece.tile + piece.tiles; ++tile) {
        if constexpr (!Shape::kOnePass) {
          wait_for_copies_but<Shape::kStages - 1>(stages - 1);
          __syncwarp();
        }
        if (of_set.whole(tile)) {
          add_tile<true>(*stage, of_set, table, tile, sums);
        } else {
          add_tile<false>(*stage, of_set, table, tile, sums);
        }
        if constexpr (!Shape::kOnePass) {
          __syncwarp();
          feed.fetch_into(*stage);
          end_copy_group();
        }
        stage = stage == ring + stages - 1 ? ring : stage + 1;
      }
      meeting.store(warp + piece.set, sums);
    }
    const bool last = way.last_round(split);
    if constexpr (!Shape::kOnePass) {
      // Factors of A, which a warp without tiles has not waited for.
      end_copy_group();
      wait_for_copies<0>();
    }
    __syncthreads();
    meeting.finish(way.round, sets);
    if (last) return;
    way.to_next_round(split);
    __syncthreads();
  }
}

template <typename T, typename Shape, typename Group>
int shared_bytes(const Group& p, const SkinnySplit& split) {
  const int ring = Shape::kWarps * split.stages * static_cast<int>(sizeof(RingStage<T, Shape>));
  return Way<Shape>::kBytes + Items<Shape, Group>::bytes(split) + T::kTableBytes + ring +
         Activations<T, Shape>::bytes(p.m, p.tiles) + Meeting<T, Shape, Group>::bytes(split, p.m);
}

// A block for a multiprocessor, or more with at most kMaxBlockSets sets, or, of experts, rounds of no more;
// the longest rounds and the most stages that there is shared memory for.
inline constexpr int kMaxBlockSets = 64;
template <typename T, typename Shape, typename Group>
SkinnySplit split_for(const Group& p, const SkinnyLaunch& launch) {
  const auto divide_up = [](int a, int b) { return (a + b - 1) / b; };
  const int limit = static_cast<int>(launch.device.sharedMemPerBlockOptin);
  SkinnySplit split{};
  split.sets = divide_up(p.row_blocks, Shape::kBlocks);
  const int all = Items<Shape, Group>::most_sets(p);
  const int least = Items<Shape, Group>::kOfExperts ? 1 : divide_up(all, kMaxBlockSets);
  split.blocks = std::max(std::min(launch.device.multiProcessorCount, all), least);
  split.block_sets = divide_up(all, split.blocks);
  split.stages = Shape::kStages;
  for (int rounds = divide_up(split.block_sets, kMaxBlockSets); rounds <= split.block_sets; ++rounds) {
    split.round_sets = divide_up(split.block_sets, rounds);
    if (Meeting<T, Shape, Group>::bytes(split, p.m) <= limit / 2) break;
  }
  while (split.stages > 1 && shared_bytes<T, Shape>(p, split) > limit) --split.stages;
  return split;
}

template <typename T, typename Shape, typename Group>
void launch_split(const Group& p, const SkinnySplit& split, const SkinnyLaunch& launch) {
  const int bytes = shared_bytes<T, Shape>(p, split);
  allow_shared_memory<skinny_kernel<T, Shape, Group>>(bytes);
  launch_dependent(launch.stream, launch.device, skinny_kernel<T, Shape, Group>,
                   {static_cast<unsigned>(split.blocks), Shape::kThreads, static_cast<size_t>(bytes)}, p,
                   split);
}

// Few weights, where latency is all: half of a multiprocessor is left for the block of the next kernel, whose
// weights come in meanwhile. 16 warps have 64 registers each; where scales and zero points take more, 12. A
// table takes the other half.
template <typename T>
using OnePassShape = std::conditional_t<T::kFewParts, SkinnyShape<true, 1, 1, 16, 4, 2>,
                                        SkinnyShape<true, 1, 1, 12, 6, T::kHasTable ? 1 : 2>>;
// Many, where bytes on their way are: a block has the whole multiprocessor. Each fragment of A is used twice.
// Two stages are enough of them, and what shared memory leaves is first-level cache for A in memory. Where a
// block makes its A, more weights are on their way meanwhile.
template <typename T, int kTokens, ReadA kReadA = ReadA::kCached>
using StreamShape = SkinnyShape<false, 2, kTokens, T::kFewParts || (kTokens == 1 && !T::kHasTable) ? 16 : 12,
                                kReadA == ReadA::kMade ? 3 : 2, 1, kReadA>;

// Whether there is room for all of it, and for the block of the next kernel.
template <typename T, typename Group>
bool takes_one_pass(const Group& p, const SkinnySplit& split, const SkinnyLaunch& launch) {
  using Shape = OnePassShape<T>;
  const size_t block_bytes =
      static_cast<size_t>(shared_bytes<T, Shape>(p, split)) + launch.device.reservedSharedMemPerBlock;
  return split.round_sets == split.block_sets && split.stages == Shape::kStages &&
         int64_t{split.block_sets} * p.tiles <= Shape::kWarps * Shape::kStages &&
         Shape::kResident * block_bytes <= launch.device.sharedMemPerMultiprocessor;
}

// A row of bf16 for every column of a fragment: up to 8 take one fragment, up to 16 two.
template <typename T, typename Group>
void launch_group(const Group& p, const SkinnyLaunch& launch) {
  using OnePass = OnePassShape<T>;
  const auto launch_stream = [&]<typename Stream>() {
    launch_split<T, Stream>(p, split_for<T, Stream>(p, launch), launch);
  };
  if (!p.a) return launch_stream.template operator()<StreamShape<T, 1, ReadA::kMade>>();
  if (p.m > 8) return launch_stream.template operator()<StreamShape<T, 2>>();
  const SkinnySplit split = split_for<T, OnePass>(p, launch);
  if (takes_one_pass<T>(p, split, launch)) return launch_split<T, OnePass>(p, split, launch);
  launch_stream.template operator()<StreamShape<T, 1>>();
}

// A kernel for a single weight has no look-ups.
template <typename T>
void launch_tiles(const SkinnyWeights& p, const SkinnyLaunch& launch) {
  if (p.count > 1) return launch_group<T>(p, launch);
  launch_group<T>(SkinnyGroup<1>{p, {p.weights[0]}, {0}, 1}, launch);
}

}  // namespace qutlass::cuda
