// Products of some tens of rows of A with int4 weights.
#include "cuda/skinny/formats.cuh"
#include "cuda/skinny/wide.cuh"

namespace qutlass::cuda {

void launch_wide_int4(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_int4_tiles(format, [&]<typename T>() { launch_wide<T>(p, launch); });
}

}  // namespace qutlass::cuda
