// Products of few rows of A with mxfp4 and nvfp4 weights.
#include "cuda/skinny/formats.cuh"

namespace qutlass::cuda {

void launch_skinny_e2m1(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_e2m1_tiles(format, [&]<typename T>() { launch_tiles<T>(p, launch); });
}

}  // namespace qutlass::cuda
