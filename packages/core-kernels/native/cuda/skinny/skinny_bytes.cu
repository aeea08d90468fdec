// Products of few rows of A with int8, fp8 and mxfp8 weights.
#include "cuda/skinny/formats.cuh"

namespace qutlass::cuda {

void launch_skinny_bytes(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_byte_tiles(format, [&]<typename T>() { launch_tiles<T>(p, launch); });
}

}  // namespace qutlass::cuda
