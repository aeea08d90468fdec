// Products with few rows of A and a B in tiles.
#pragma once

#include <cuda_runtime.h>

#include "cuda/gemm/epilogue.cuh"
#include "cuda/skinny/tiles.h"

namespace qutlass::cuda {

// Rows of A that the kernels take: the first of them up to kNarrowMaxM.
inline constexpr int kSkinnyMaxM = 64, kNarrowMaxM = 16;

struct SkinnyProblem {
  const uint8_t* codes;
  const uint8_t* scales;
  const float* row_factors;
  const uint8_t* a;  // bf16 [m, k]
  Epilogue epilogue;
  int m, n, k;
  int row_blocks, tiles;
};

// How a launch divides the work: blocks own equal parts of the sets of row blocks, at most block_sets. The
// sums of round_sets of them meet at once. A warp's ring has so many stages.
struct SkinnySplit {
  int sets, blocks, block_sets, round_sets, stages;
};

struct SkinnyLaunch {
  cudaStream_t stream;
  const cudaDeviceProp& device;
};

// Throws QUTLASS_E_UNSUPPORTED with the reason unless the kernels take the problem.
void require_skinny(const qutlass_matmul_problem& problem);
void enqueue_skinny(qutlass_stream& stream, const qutlass_matmul_problem& problem);

// Each for the codes of its file, up to kNarrowMaxM rows of A, or more.
void launch_skinny_int4(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_skinny_e2m1(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_skinny_bytes(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_wide_int4(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_wide_e2m1(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);
void launch_wide_bytes(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch);

}  // namespace qutlass::cuda
