// D = A B^T for some tens of rows of A: weights pass tensor cores as in skinny.cuh, and A waits for them in
// shared memory.
//
// A warp owns 16 rows of B at a time, so that its codes become the left operand of matrix instructions in
// registers; where there are instructions for four warps, they share the reading of the right one, A. One
// warp more brings codes for all of them, several tiles ahead and before the kernel waits for the one before
// it, and three bring A in the order of columns that tiles have. Blocks of a cluster share K. Their sums meet
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
    wide_kernel(const __grid_constant__ SkinnyProblem p, const __grid_constant__ WidePlan plan) {
  extern __shared__ __align__(1024) uint8_t wide_shared[];
  uint8_t* const stages = wide_shared;
  auto* const coming = reinterpret_cast<typename TokenFeed<W>::Stage*>(stages + plan.stages_bytes);
  auto* const sums_at = reinterpret_cast<uint8_t*>(coming + W::kTokensAhead);
  const int warp = static_cast<int>(threadIdx.x) / 32;

  const Cluster cluster = Cluster::own();
  const int first_tile = cluster.rank * plan.tiles, end_tile = min(first_tile + plan.tiles, p.tiles);
  const TileWalk walk{first_tile, end_tile, cluster.id, cluster.count};
  if (threadIdx.x % 32 == 0 && warp < plan.warps) {
    WideMeeting<W>(plan, cluster.rank, sums_at).init();
    for (int at = warp * plan.stage_bytes; at < plan.stages_bytes; at += plan.warps * plan.stage_bytes)
      WideStage<W>{stages + at}.init(plan.warps);
  }
  __syncthreads();
  // A block alone has met; its cluster barrier would be one more of the block, in three places of the code.
  const bool clustered = plan.cluster > 1;
  if (clustered) arrive_at_cluster();

  if (warp >= plan.warps) {
    if constexpr (W::kShiftsRegisters) shrink_registers<W::kFeedRegisters>();
    const int thread = static_cast<int>(threadIdx.x) - plan.warps * 32;
    if (thread < W::kCodeWarps * 32) {
      CodeFeed<W> feed(p, plan, stages, walk, thread);
      feed.begin();
      launch_dependents();
      if (clustered) wait_for_cluster();
      feed.run();
    } else {
      launch_dependents();
      wait_for_dependency();
      if (clustered) wait_for_cluster();
      TokenFeed<W>(p, plan, stages, coming, walk, thread - W::kCodeWarps * 32).run();
    }
  } else {
    launch_dependents();
    wait_for_dependency();
    if (clustered) wait_for_cluster();
    if constexpr (W::kShiftsRegisters) grow_registers<W::kMultiplyRegisters>();
    const WideMultiply<W> multiply(plan.warps, warp);
    Turns<W> turns(stages, plan);
    const int rounds = (plan.sets - cluster.id - 1) / cluster.count + 1;
    for (int round = 0; round < rounds; ++round) {
      prefetch_row_ends(p, (cluster.id + round * cluster.count) * plan.warps + warp);
      WideSums<W> sums{};
      for (int left = end_tile - first_tile; left > 0; --left) {
        const WideStage<W> stage = turns.stage();
        stage.full().wait(turns.parity());
        multiply.add(stage, sums);
        __syncwarp();
        if (threadIdx.x % 32 == 0) stage.empty().arrive();
        turns.advance();
      }
      // What does not have to be in registers while tiles are multiplied is found out again.
      const Cluster now = Cluster::own();
      const int set = now.id + round * now.count, own_warp = static_cast<int>(threadIdx.x) / 32;
      WideMeeting<W>(plan, now.rank, sums_at)
          .run(p, sums, set * plan.warps + own_warp, round, set + now.count >= plan.sets);
    }
  }
}

template <typename W>
void launch_wide_shape(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  using T = typename W::T;
  const cudaFuncAttributes limits = kernel_attributes<wide_kernel<W>>();
  const bool clustered = has_clusters(limits);
  const int max_warps = limits.maxThreadsPerBlock / 32 - W::kFeeders;
  const WideSplit split =
      choose_wide_split({p.row_blocks, p.tiles, W::kBlocks, W::kTokens}, max_warps, clustered, launch.device);
  WidePlan plan{};
  plan.warps = split.warps;
  plan.sets = (p.row_blocks + split.warps - 1) / split.warps;
  plan.tiles = (p.tiles + split.cluster - 1) / split.cluster;
  plan.cluster = (p.tiles + plan.tiles - 1) / plan.tiles;  // none without tiles
  plan.stage_bytes = WideStage<W>::bytes(split.warps);
  const int other =
      W::kTokensAhead * static_cast<int>(sizeof(typename TokenFeed<W>::Stage)) + WideMeeting<W>::bytes(plan);
  constexpr int kMaxStages = 8;
  const int room = static_cast<int>(launch.device.sharedMemPerBlockOptin) - other;
  plan.stages_bytes = std::min(room / plan.stage_bytes, kMaxStages) * plan.stage_bytes;
  const int bytes = plan.stages_bytes + other;
  allow_shared_memory<wide_kernel<W>>(bytes);
  const auto blocks = static_cast<unsigned>(std::min(plan.sets, split.clusters) * plan.cluster);
  const auto threads = static_cast<unsigned>((split.warps + W::kFeeders) * 32);
  launch_dependent(launch.stream, launch.device, wide_kernel<W>,
                   {blocks, threads, static_cast<size_t>(bytes), static_cast<unsigned>(plan.cluster)}, p,
                   plan);
}

template <typename T>
void launch_wide(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  p.m <= 32 ? launch_wide_shape<Wide<T, 32>>(p, launch) : launch_wide_shape<Wide<T, 64>>(p, launch);
}

}  // namespace qutlass::cuda
