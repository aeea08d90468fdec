// Products of experts with mxfp4 and nvfp4 weights.
#include "cuda/skinny/experts.cuh"

namespace qutlass::cuda {

void launch_experts_e2m1(const SkinnyExperts& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_e2m1_tiles(format, [&]<typename T>() { launch_experts<T>(p, launch); });
}

}  // namespace qutlass::cuda
