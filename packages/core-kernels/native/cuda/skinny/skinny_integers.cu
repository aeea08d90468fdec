// Products of few rows of int8 codes with int4 and int8 weights, as integers.
#include "cuda/skinny/formats.cuh"

namespace qutlass::cuda {

void launch_skinny_integers(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch) {
  if (format.code == TileCode::kInt8)
    return launch_tiles<Tiles<TileCode::kInt8, TileScale::kNone, 1, false, true>>(p, launch);
  with_int4_tiles<true>(format, [&]<typename T>() { launch_tiles<T>(p, launch); });
}

}  // namespace qutlass::cuda
