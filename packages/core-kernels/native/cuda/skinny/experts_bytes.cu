// Products of experts with int8, fp8 and mxfp8 weights.
#include "cuda/skinny/experts.cuh"

namespace qutlass::cuda {

void launch_experts_bytes(const SkinnyExperts& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_byte_tiles(format, [&]<typename T>() { launch_experts<T>(p, launch); });
}

}  // namespace qutlass::cuda
