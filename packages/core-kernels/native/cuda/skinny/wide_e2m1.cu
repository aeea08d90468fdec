// Products of some tens of rows of A with mxfp4 and nvfp4 weights.
#include "cuda/skinny/formats.cuh"
#include "cuda/skinny/wide.cuh"

namespace qutlass::cuda {

void launch_wide_e2m1(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_e2m1_tiles(format, [&]<typename T>() { launch_wide<T>(p, launch); });
}

}  // namespace qutlass::cuda
