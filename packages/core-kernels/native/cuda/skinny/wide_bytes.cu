// Products of some tens of rows of A with int8, fp8 and mxfp8 weights.
#include "cuda/skinny/formats.cuh"
#include "cuda/skinny/wide.cuh"

namespace qutlass::cuda {

void launch_wide_bytes(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  with_byte_tiles(format, [&]<typename T>() { launch_wide<T>(p, launch); });
}

}  // namespace qutlass::cuda
