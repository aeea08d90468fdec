// Skinny products with mxfp4 and nvfp4 weights.
#include "cuda/skinny/skinny.cuh"

namespace qutlass::cuda {

void launch_skinny_e2m1(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  return format.code == TileCode::kE2M1
             ? launch_tiles<Tiles<TileCode::kE2M1, TileScale::kE8M0, 4, false>>(p, launch)
             : launch_tiles<Tiles<TileCode::kE2M1By16, TileScale::kE4M3, 1, false>>(p, launch);
}

}  // namespace qutlass::cuda
