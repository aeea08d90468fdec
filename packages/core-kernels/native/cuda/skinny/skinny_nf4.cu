// Products of few rows of A with nf4 weights.
#include "cuda/skinny/formats.cuh"

namespace qutlass::cuda {

void launch_skinny_nf4(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_nf4_tiles(format, [&]<typename T>() { launch_tiles<T>(p, launch); });
}

}  // namespace qutlass::cuda
