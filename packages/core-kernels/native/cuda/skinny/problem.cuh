// Products with few rows of A as arguments of kernels.
#pragma once

#include <cuda_runtime.h>

#include "cuda/gemm/epilogue.cuh"
#include "cuda/gemm/expert_rows.h"
#include "cuda/skinny/row_source.cuh"
#include "cuda/skinny/tiles.h"

namespace qutlass::cuda {

// A, and the extents of all that a launch multiplies it with.
struct SkinnyExtents {
  const uint8_t* a;        // bf16 [m, k], or int8; or null: every block makes these rows of the source
  const float* a_factors;  // of rows of D, a_factor_step from one to the next; or null
  int a_factor_step;
  int m, k;
  int rows, parts;  // of D, and rows of a for each: one or two
  int row_blocks, tiles;
  RowSource source;
};

// A weight, and the end of its product.
struct SkinnyWeight {
  const uint8_t* codes;
  const uint8_t* scales;
  const float* row_factors;
  Epilogue epilogue;
  int n;
};

struct SkinnyProblem : SkinnyExtents, SkinnyWeight {};

// Up to kWeights weights of one format, their row blocks numbered through.
template <int kWeights>
struct SkinnyGroup : SkinnyExtents {
  SkinnyWeight weights[kWeights];
  int first[kWeights];  // row block of a weight; row_blocks where there is none
  int count;

  // The index of the weight that a row block belongs to. Of a single one all is known when code is compiled.
  __device__ int weight_of(int row_block) const {
    int weight = 0;
    for (int i = 1; i < kWeights; ++i) weight += row_block >= first[i];
    return weight;
  }
  __device__ int first_of(int weight) const { return kWeights == 1 ? 0 : first[weight]; }
};
// Weights that share a launch.
inline constexpr int kMaxWeights = 4;
using SkinnyWeights = SkinnyGroup<kMaxWeights>;

// The weights of experts one under the other, for rows of A that are sorted by expert. m and rows: of a pass
// at most; row_blocks and n: of one expert.
struct SkinnyExperts : SkinnyExtents {
  static constexpr int count = 1;
  SkinnyWeight weights[count];
  ExpertRows of_experts;
};
// An expert's rows of B that the kernels take: they begin and end with what a warp has at once.
inline constexpr int kExpertRows = 2 * kTileRows;

// How a launch divides the work: blocks own equal parts of the sets of row blocks, at most block_sets. The
// sums of round_sets of them meet at once. A warp's ring has so many stages. Of experts, a pass has so many
// sets, and blocks own equal parts of all passes.
struct SkinnySplit {
  int sets, blocks, block_sets, round_sets, stages;
};

struct SkinnyLaunch {
  cudaStream_t stream;
  const cudaDeviceProp& device;
};

// Each for the codes of its file, up to kNarrowMaxM rows of bf16, or more.
void launch_skinny_int4(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_skinny_e2m1(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_skinny_bytes(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_skinny_nf4(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_skinny_integers(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_experts_int4(const SkinnyExperts& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_experts_e2m1(const SkinnyExperts& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_experts_nf4(const SkinnyExperts& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_experts_bytes(const SkinnyExperts& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_wide_int4(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_wide_e2m1(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_wide_bytes(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);

}  // namespace qutlass::cuda
