// D = A B^T for some tens of rows of A: weights pass tensor cores as in skinny.cuh, and A waits for them in
// shared memory.
//
// A warp owns 16 rows of B at a time, so that its codes become the left operand of matrix instructions in
// registers; where there are instructions for four warps, they share the reading of the right one, A. One
// warp more brings codes for all of them, several tiles ahead and before the kernel waits for the one before
// it, and two bring A in the order of columns that tiles have. Blocks of a cluster share K. Their sums meet
// in shared memory and are added in the order of the blocks.
#pragma once

#include "cuda/skinny/wide_feed.cuh"
#include "cuda/skinny/wide_meeting.cuh"
#include "cuda/skinny/wide_split.h"
#include "kernel_limits.h"
#include "launch.h"

namespace qutlass::cuda {

template <typename W>
__global__ void __launch_bounds__(W::kMaxThreads, 1)
    wide_kernel(const __grid_constant__ SkinnyProblem p, const __grid_constant__ WideSources from,
                const __grid_constant__ WidePlan plan) {
  extern __shared__ __align__(1024) uint8_t wide_shared[];
  uint8_t* const stages = uniform(wide_shared);
  const int warp = uniform(static_cast<int>(threadIdx.x) / 32), feeder = warp - plan.warps;
  const bool orders = feeder > 0 && feeder <= W::kOrderWarps;
  const TokenSlots<W> slots(plan, stages + plan.stages_bytes, feeder - 1);
  const auto sums_at = [&] { return stages + plan.stages_bytes + TokenSlots<W>::bytes(plan.ahead); };

  const Cluster cluster = Cluster::own();
  const int first_tile = cluster.rank * plan.tiles, end_tile = min(first_tile + plan.tiles, p.tiles);
  const TileWalk walk{first_tile, end_tile, cluster.id, cluster.count};
  if (threadIdx.x % 32 == 0) {
    if (feeder < 0) {
      WideMeeting<W>(plan, cluster.rank, sums_at()).init();
      for (int at = warp * plan.stage_bytes; at < plan.stages_bytes; at += plan.warps * plan.stage_bytes)
        WideStage<W>{stages + at}.init(plan.warps);
    } else if (orders) {
      slots.init();
    }
    publish_barriers();
  }
  __syncthreads();
  // A block alone has met; its cluster barrier would be one more of the block, in four places of the code.
  const bool clustered = plan.cluster > 1;
  if (clustered) arrive_at_cluster();

  if (feeder >= 0) {
    if constexpr (W::kShiftsRegisters) shrink_registers<W::kFeedRegisters>();
    if (feeder == 0) {
      CodeFeed<W> feed(from, plan, stages, walk);
      feed.begin();
      launch_dependents();
      if (clustered) wait_for_cluster();
      feed.run();
    } else if (orders) {
      prefetch_boxes(from.a);
      launch_dependents();
      wait_for_dependency();
      if (clustered) wait_for_cluster();
      TokenFeed<W>(p, from, plan, stages, slots, walk, feeder - 1).run();
    } else {
      launch_dependents();
      if (clustered) wait_for_cluster();
    }
  } else {
    launch_dependents();
    wait_for_dependency();
    if (clustered) wait_for_cluster();
    if constexpr (W::kShiftsRegisters) grow_registers<W::kMultiplyRegisters>();
    WideMultiply<W> multiply(plan.warps, warp);
    Turns<W> turns(stages, plan);
    // What does not have to be in registers while tiles are multiplied is found out again.
    for (int round = 0;; ++round) {
      const auto own_row_block = [&](int item) {
        return plan.set_of(item) * plan.warps + static_cast<int>(threadIdx.x) / 32;
      };
      const Cluster before = Cluster::own();
      prefetch_row_ends(p, own_row_block(before.id + round * before.count));
      WideSums<W> sums{};
      multiply.open(turns.stage(), turns.parity());
      for (int left = min(plan.tiles, p.tiles - before.rank * plan.tiles); left > 0; --left) {
        const WideStage<W> stage = turns.stage();
        turns.advance();
        multiply.add(stage, sums, [&] {
          if (left > 1) multiply.open(turns.stage(), turns.parity());
        });
        __syncwarp();
        if (threadIdx.x % 32 == 0) stage.empty().arrive();
      }
      const Cluster now = Cluster::own();
      const int item = now.id + round * now.count;
      const bool last = item + now.count >= plan.items;
      WideMeeting<W>(plan, now.rank, sums_at())
          .run(p, sums, own_row_block(item), plan.chunk_of(item) * W::kTokens, round, last);
      if (last) break;
    }
  }
}

// What a block has shared memory for: parts of A ahead, then stages, at least two. Whether there is room.
template <typename W>
bool divide_shared_memory(WidePlan& plan, int bytes) {
  constexpr int kMinStages = 2, kMaxStages = 8;
  plan.stage_bytes = WideStage<W>::bytes(plan.warps);
  for (plan.ahead = W::kMaxAhead; plan.ahead > 0; --plan.ahead) {
    const int room = bytes - WideMeeting<W>::bytes(plan) - TokenSlots<W>::bytes(plan.ahead);
    plan.stages_bytes = std::min(room / plan.stage_bytes, kMaxStages) * plan.stage_bytes;
    if (plan.stages_bytes >= kMinStages * plan.stage_bytes) return true;
  }
  return false;
}

template <typename W>
WideSources sources_of(const SkinnyProblem& p, const WidePlan& plan, bool mapped) {
  constexpr int kScaleBytes = W::T::kTileScaleBytes;
  const auto tiles = [&](const uint8_t* data, int tile_bytes) {
    return matrix_boxes(data, p.row_blocks, int64_t{p.tiles} * tile_bytes, plan.warps, tile_bytes,
                        BoxLayout::kPlain, mapped);
  };
  WideSources from{};
  from.codes = tiles(p.codes, kTileBytes);
  if constexpr (kScaleBytes > 0) from.scales = tiles(p.scales, kScaleBytes);
  from.a = matrix_boxes(p.a, p.m, int64_t{p.k} * 2, std::min((p.m + 7) / 8 * 8, W::kPartRows), 128,
                        BoxLayout::kSwizzled, mapped);
  return from;
}

template <typename W>
void launch_wide_shape(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  const cudaFuncAttributes limits = kernel_attributes<wide_kernel<W>>();
  const bool clustered = has_clusters(limits);
  const int room = static_cast<int>(launch.device.sharedMemPerBlockOptin);
  const int chunks = (p.m + W::kTokens - 1) / W::kTokens;
  const auto fits = [&](int warps, int cluster) {
    WidePlan plan{};
    plan.warps = warps;
    plan.cluster = cluster;
    return divide_shared_memory<W>(plan, room);
  };
  const WideSplit split =
      choose_wide_split({p.row_blocks, p.tiles, W::kBlocks, W::kTokens, chunks},
                        {limits.maxThreadsPerBlock / 32 - W::kFeeders, clustered, fits}, launch.device);
  WidePlan plan{};
  plan.warps = split.warps;
  plan.chunks = chunks;
  plan.items = (p.row_blocks + split.warps - 1) / split.warps * chunks;
  plan.cluster = split.cluster;
  plan.tiles = (p.tiles + split.cluster - 1) / split.cluster;
  divide_shared_memory<W>(plan, room);
  const int bytes = plan.stages_bytes + TokenSlots<W>::bytes(plan.ahead) + WideMeeting<W>::bytes(plan);
  allow_shared_memory<wide_kernel<W>>(bytes);
  const auto blocks = static_cast<unsigned>(std::min(plan.items, split.clusters) * plan.cluster);
  const auto threads = static_cast<unsigned>((split.warps + W::kFeeders) * 32);
  launch_dependent(launch.stream, launch.device, wide_kernel<W>,
                   {blocks, threads, static_cast<size_t>(bytes), static_cast<unsigned>(plan.cluster)}, p,
                   sources_of<W>(p, plan, clustered), plan);
}

template <typename T>
void launch_wide(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  p.m <= 32 ? launch_wide_shape<Wide<T, 32>>(p, launch) : launch_wide_shape<Wide<T, 64>>(p, launch);
}

}  // namespace qutlass::cuda
