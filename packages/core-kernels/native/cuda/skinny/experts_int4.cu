// Products of experts with int4 weights.
#include "cuda/skinny/experts.cuh"

namespace qutlass::cuda {

void launch_experts_int4(const SkinnyExperts& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_int4_tiles(format, [&]<typename T>() { launch_experts<T>(p, launch); });
}

}  // namespace qutlass::cuda
