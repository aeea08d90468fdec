// Products of few rows of A with int4 weights.
#include "cuda/skinny/formats.cuh"

namespace qutlass::cuda {

void launch_skinny_int4(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_int4_tiles(format, [&]<typename T>() { launch_tiles<T>(p, launch); });
}

}  // namespace qutlass::cuda
