// The loop over K that the tensor core kernels share: a block computes a tile of D. What differs, how
// operands lie in shared memory and how products are summed, is the type `Sums`:
//   Sums(problem)
//   using Shape = TileShape<...>;
//   using TileA, TileB                         as in loader.cuh
//   static constexpr bool kZeroPoints          flush wants the zero points
//   static constexpr bool kOneSegment          K is one segment
//   multiply(a, b, step)                       adds the products of a step of the tiles at a and b
//   flush(parts, step, elements)               ends a segment, of scales `step`, of this many elements
//   value(i, j, r)                             sum r of fragment (i, j)
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/atoms/mma.cuh"
#include "cuda/gemm/expert_passes.cuh"
#include "cuda/gemm/loader.cuh"
#include "cuda/gemm/problem.cuh"
#include "cuda/runtime/shared_memory.h"

namespace qutlass::cuda {

// Warps of a block, and fragments of 16 x 8 sums of a warp.
template <int kWarpsM_, int kWarpsN_, int kFragmentsM_, int kFragmentsN_>
struct TileShape {
  static constexpr int kWarpsN = kWarpsN_;
  static constexpr int kFragmentsM = kFragmentsM_, kFragmentsN = kFragmentsN_;
  static constexpr int kWarpRows = kFragmentsM * 16, kWarpCols = kFragmentsN * 8;
  static constexpr int kM = kWarpsM_ * kWarpRows, kN = kWarpsN * kWarpCols;
  static constexpr int kThreads = kWarpsM_ * kWarpsN * 32;
  static_assert(kFragmentsN % 2 == 0, "a load brings two fragments of B");
  static_assert(kM + kN <= kThreads, "a thread brings the scale of a row");
};

// Where the sums of a thread lie in the tile: fragment (i, j) holds rows row(i) and row(i) + 8, columns
// col(j) and col(j) + 1 in the order [row][column].
template <typename Shape>
struct Place {
  int lane = static_cast<int>(threadIdx.x) % 32;
  int warp_row = static_cast<int>(threadIdx.x) / 32 / Shape::kWarpsN * Shape::kWarpRows;
  int warp_col = static_cast<int>(threadIdx.x) / 32 % Shape::kWarpsN * Shape::kWarpCols;

  __device__ int row(int i) const { return warp_row + i * 16 + lane / 4; }
  __device__ int col(int j) const { return warp_col + j * 8 + lane % 4 * 2; }
};

// Fragments of a step, [fragment][register].
template <typename Shape>
__device__ inline void load_fragments_a(const Place<Shape>& place, const uint8_t* tile, int step,
                                        uint32_t (&a)[Shape::kFragmentsM][4]) {
  const uint8_t* at =
      tile + (place.warp_row + place.lane % 16) * kTilePitch + step * kStepBytes + place.lane / 16 * 16;
#pragma unroll
  for (int i = 0; i < Shape::kFragmentsM; ++i, at += 16 * kTilePitch)
    load_matrices(at, a[i][0], a[i][1], a[i][2], a[i][3]);
}

template <typename Shape>
__device__ inline void load_fragments_b(const Place<Shape>& place, const uint8_t* tile, int step,
                                        uint32_t (&b)[Shape::kFragmentsN][2]) {
  const int row = place.warp_col + place.lane % 8 + place.lane / 16 * 8;
  const uint8_t* at = tile + row * kTilePitch + step * kStepBytes + place.lane / 8 % 2 * 16;
#pragma unroll
  for (int j = 0; j < Shape::kFragmentsN; j += 2, at += 16 * kTilePitch) {
    load_matrices(at, b[j][0], b[j][1], b[j + 1][0], b[j + 1][1]);
  }
}

// Scales, and zero points if wanted, of the rows of A and then of B, for each step of a tile, or only the
// first if all steps are in one group.
template <typename Sums>
struct GroupParts {
  static constexpr int kRows = Sums::Shape::kM + Sums::Shape::kN;
  float scales[kSteps][kRows];
  int32_t zero_points[Sums::kZeroPoints ? kSteps : 1][Sums::kZeroPoints ? kRows : 1];
};

// Brings the parts of one row. The scale is 1 where there is none.
template <typename Sums>
class PartLoader {
 public:
  using Parts = GroupParts<Sums>;

  __device__ PartLoader(const Problem& problem, int row_a, int row_b) {
    const int index = static_cast<int>(threadIdx.x);
    is_a_ = index < Sums::Shape::kM;
    row_ = is_a_ ? row_a + index : row_b + index - Sums::Shape::kM;
    const Operand& x = operand(problem);
    active_ = index < Parts::kRows && row_ < x.rows && x.scales;
  }
  __device__ void load(const Problem& problem, int k, int count) {
    if (!active_) return;
    const Operand& x = operand(problem);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      if (step >= count) break;
      const int group = group_at(x, k + step * Sums::TileA::kStepColumns);
      scale_bits_[step] = load_scale_bits(x, row_, group);
      if (Sums::kZeroPoints && x.zero_points) zero_points_[step] = load_zero_point(x, row_, group);
    }
  }
  __device__ void store(const Problem& problem, Parts& parts, int count) const {
    const int index = static_cast<int>(threadIdx.x);
    if (index >= Parts::kRows) return;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      if (step >= count) break;
      parts.scales[step][index] = active_ ? decode_scale(operand(problem), scale_bits_[step]) : 1.0f;
      if constexpr (Sums::kZeroPoints) parts.zero_points[step][index] = zero_points_[step];
    }
  }

 private:
  __device__ const Operand& operand(const Problem& problem) const { return is_a_ ? problem.a : problem.b; }

  bool is_a_, active_;
  int row_;
  uint32_t scale_bits_[kSteps] = {};
  int zero_points_[kSteps] = {};
};

template <typename Sums>
struct Stage {
  using Shape = typename Sums::Shape;
  using LoaderA = Loader<typename Sums::TileA, Shape::kM, Shape::kThreads>;
  using LoaderB = Loader<typename Sums::TileB, Shape::kN, Shape::kThreads>;

  alignas(16) uint8_t a[LoaderA::kBytes];
  alignas(16) uint8_t b[LoaderB::kBytes];
  GroupParts<Sums> parts;
};

// The tile of a block: where its rows of A and of B begin, where those that belong to the product end, and
// the row of B that makes the first column of D.
struct TilePlace {
  int row_a, row_b, end_a, end_b, first_b;
};

template <typename Shape>
__device__ inline TilePlace find_tile(const Problem& problem, uint8_t*) {
  // Neighbouring blocks share the rows of B, the larger operand as a rule.
  const int tiles_m = (problem.m + Shape::kM - 1) / Shape::kM;
  return {static_cast<int>(blockIdx.x) % tiles_m * Shape::kM,
          static_cast<int>(blockIdx.x) / tiles_m * Shape::kN, problem.m, problem.n, 0};
}

// A tile of some pass of an expert; one without rows if there are fewer. All threads; what is shared is free
// afterwards.
template <typename Shape>
__device__ inline TilePlace find_tile(const ExpertsProblem& problem, uint8_t* shared) {
  auto* const found = reinterpret_cast<ExpertPass*>(shared);
  const ExpertPasses<Shape::kThreads> passes(problem.experts, Shape::kM, found + 1);
  passes.clear_others(problem.epilogue, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
  const int tiles_n = (problem.n + Shape::kN - 1) / Shape::kN;
  const int number = static_cast<int>(blockIdx.x) / tiles_n;
  if (number >= passes.count()) return {};
  passes.for_each(number, number + 1, [&](int, const ExpertPass& pass) { *found = pass; });
  __syncthreads();
  const ExpertPass pass = *found;
  __syncthreads();
  const int first_b = pass.expert * problem.n;
  return {pass.row, first_b + static_cast<int>(blockIdx.x) % tiles_n * Shape::kN, pass.row + pass.rows,
          first_b + problem.n, first_b};
}

// steps_per_segment: a power of two; a segment lies in one group of A and of B.
template <typename Sums, typename P>
__global__ void __launch_bounds__(Sums::Shape::kThreads)
    tile_kernel(const __grid_constant__ P problem, const int steps_per_segment) {
  using Shape = typename Sums::Shape;
  constexpr int kColumns = Sums::TileA::kColumns, kStepColumns = Sums::TileA::kStepColumns;
  extern __shared__ __align__(16) uint8_t shared[];
  auto* stages = reinterpret_cast<Stage<Sums>*>(shared);

  const auto [row_a, row_b, end_a, end_b, first_b] = find_tile<Shape>(problem, shared);
  if constexpr (std::is_same_v<P, ExpertsProblem>) {
    if (row_a == end_a) return;
  }

  typename Stage<Sums>::LoaderA a;
  typename Stage<Sums>::LoaderB b;
  PartLoader<Sums> parts(problem, row_a, row_b);
  const int part_steps = steps_per_segment < kSteps ? kSteps : 1;
  const auto load = [&](int tile) {
    a.load(problem.a, row_a, tile * kColumns);
    b.load(problem.b, row_b, tile * kColumns);
    parts.load(problem, tile * kColumns, part_steps);
  };
  const auto store = [&](Stage<Sums>& stage) {
    a.store(problem.a.kind, stage.a);
    b.store(problem.b.kind, stage.b);
    parts.store(problem, stage.parts, part_steps);
  };

  const int tiles = (problem.k + kColumns - 1) / kColumns;
  const int last_step = tiles * kSteps - 1;
  Sums sums(problem);
  const auto flush = [&](const Stage<Sums>& stage, int step) {
    const int begin = (step & -steps_per_segment) * kStepColumns;
    const int elements = max(min((step + 1) * kStepColumns, problem.k) - begin, 0);
    sums.flush(stage.parts, step % kSteps & (part_steps - 1), elements);
  };

  load(0);
  store(stages[0]);
  for (int tile = 0; tile < tiles; ++tile) {
    // The tile is there, and the other stage is not read any more.
    __syncthreads();
    const Stage<Sums>& stage = stages[tile % 2];
    if (tile + 1 < tiles) load(tile + 1);
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      sums.multiply(stage.a, stage.b, i);
      if constexpr (!Sums::kOneSegment) {
        const int step = tile * kSteps + i;
        if (((step + 1) & (steps_per_segment - 1)) == 0 || step == last_step) flush(stage, step);
      }
    }
    if (tile + 1 < tiles) store(stages[(tile + 1) % 2]);
  }
  if constexpr (Sums::kOneSegment) flush(stages[(tiles - 1) % 2], last_step);

  const double factor = problem.epilogue.factor();
  const Place<Shape> place;
#pragma unroll
  for (int i = 0; i < Shape::kFragmentsM; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::kFragmentsN; ++j) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const int m = row_a + place.row(i) + r / 2 * 8, n = row_b + place.col(j) + r % 2;
        if (m < end_a && n < end_b) problem.epilogue.store(m, n - first_b, n, factor, sums.value(i, j, r));
      }
    }
  }
}

// Steps in a segment of at most `limit` elements.
template <typename Sums>
int steps_per_segment(const Problem& problem, int limit) {
  const auto group = [&](const Operand& x) { return x.groups == 1 ? limit : 1 << x.group_shift; };
  return std::min({group(problem.a), group(problem.b), limit}) / Sums::TileA::kStepColumns;
}

template <typename Shape>
int64_t tile_count(const Problem& problem) {
  return ceil_div(problem.m, Shape::kM) * ceil_div(problem.n, Shape::kN);
}

template <typename Shape>
int64_t tile_count(const ExpertsProblem& problem) {
  return problem.experts.most_passes(Shape::kM) * ceil_div(problem.n, Shape::kN);
}

template <typename Sums, typename P>
void launch_tiles(const P& problem, int steps, cudaStream_t stream) {
  constexpr int kBytes = 2 * sizeof(Stage<Sums>);
  allow_shared_memory<tile_kernel<Sums, P>>(kBytes);
  const auto blocks = static_cast<unsigned>(tile_count<typename Sums::Shape>(problem));
  tile_kernel<Sums, P><<<blocks, Sums::Shape::kThreads, kBytes, stream>>>(problem, steps);
}

}  // namespace qutlass::cuda
