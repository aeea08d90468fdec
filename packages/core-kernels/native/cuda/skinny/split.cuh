// How a launch divides the work: a few rules, from what was measured (docs/kernels/skinny.md).
#pragma once

#include "cuda/skinny/activations.cuh"
#include "cuda/skinny/meeting.cuh"

namespace qutlass::cuda {

template <typename T, typename Shape>
int ring_bytes(int stages) {
  return Way<Shape>::kBytes + Shape::kWarps * stages * static_cast<int>(sizeof(RingStage<T, Shape>));
}
template <typename T, typename Shape>
int shared_bytes(const SkinnyProblem& p, const SkinnySplit& split) {
  return ring_bytes<T, Shape>(split.stages) + Activations<T, Shape>::bytes(split, p.m) +
         Meeting<Shape>::bytes(split, p.m);
}

constexpr int divide_up(int a, int b) { return (a + b - 1) / b; }

// All of K for a block, and its sets in one round.
template <typename Shape>
SkinnySplit whole_split(const SkinnyProblem& p, const SkinnyLaunch& launch, int log_cluster) {
  SkinnySplit split{};
  split.log_cluster = log_cluster;
  split.stages = Shape::kStages;
  split.sets = divide_up(p.row_blocks, Shape::kBlocks);
  split.clusters = std::min(launch.device.multiProcessorCount >> log_cluster, split.sets);
  split.cluster_sets = split.round_sets = divide_up(split.sets, split.clusters);
  split.chunk_tiles = divide_up(p.tiles, 1 << log_cluster);
  split.chunks = split.buffers = 1;
  return split;
}

// No clusters if the problem is too large for one pass.
template <typename T, typename Shape>
SkinnySplit one_pass_split(const SkinnyProblem& p, const SkinnyLaunch& launch) {
  const SkinnySplit split = whole_split<Shape>(p, launch, 0);
  const int64_t items = int64_t{split.round_sets} * p.tiles;
  const bool fits = items <= Shape::kWarps * Shape::kStages &&
                    split.round_sets * Shape::kRows <= kMaxRoundRows &&
                    shared_bytes<T, Shape>(p, split) <= static_cast<int>(launch.device.sharedMemPerBlockOptin);
  return fits ? split : SkinnySplit{};
}

template <typename T, typename Shape>
SkinnySplit stream_split(const SkinnyProblem& p, const SkinnyLaunch& launch, bool clusters) {
  const int limit = static_cast<int>(launch.device.sharedMemPerBlockOptin);
  const int blocks = launch.device.multiProcessorCount;
  constexpr int kChunkBytes = 32 << 10;
  const auto bytes_of_a = [&](int tiles) { return p.m * Activations<T, Shape>::row_bytes(tiles); };
  const auto room_for_a = [&](const SkinnySplit& split) {
    return limit - ring_bytes<T, Shape>(split.stages) - Meeting<Shape>::bytes(split, p.m);
  };
  const auto bound_rounds = [&](SkinnySplit& split) {
    int most = kMaxRoundRows / Shape::kRows;
    do {
      split.round_sets = divide_up(split.cluster_sets, divide_up(split.cluster_sets, most));
    } while (Meeting<Shape>::bytes(split, p.m) > limit / 3 && --most > 0);
  };

  SkinnySplit split = whole_split<Shape>(p, launch, 0);
  bound_rounds(split);
  // Two blocks share K if A has to be read in chunks for too few weights, or if there are too few of them.
  const int64_t weight_bytes = int64_t{split.sets} * Shape::kBlocks * p.tiles * kTileBytes / blocks;
  const bool many_chunks = bytes_of_a(p.tiles) > room_for_a(split) && bytes_of_a(p.tiles) > weight_bytes / 2;
  const bool few_blocks = 2 * split.sets <= blocks && p.tiles > 4 * Shape::kWarps;
  if (clusters && p.tiles > 1 && (many_chunks || few_blocks)) {
    split = whole_split<Shape>(p, launch, 1);
    bound_rounds(split);
  }
  const int tiles = split.chunk_tiles;
  while (split.stages > 1 && room_for_a(split) < std::min(bytes_of_a(tiles), kChunkBytes)) --split.stages;
  const int room = room_for_a(split);
  if (bytes_of_a(tiles) > room) {
    int most = std::max(1, kChunkBytes / (p.m * T::kCols * 2));
    while (most > 1 && 2 * bytes_of_a(most) > room) --most;
    split.chunk_tiles = divide_up(tiles, divide_up(tiles, most));
    split.chunks = divide_up(tiles, split.chunk_tiles);
    split.buffers = 2;
  }
  return split;
}

}  // namespace qutlass::cuda
