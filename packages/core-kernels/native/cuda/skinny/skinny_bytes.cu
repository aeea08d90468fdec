// Skinny products with int8, fp8 and mxfp8 weights.
#include "cuda/skinny/skinny.cuh"

namespace qutlass::cuda {
namespace {

template <TileCode kCode>
void launch_fp8(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  switch (format.scale) {
    case TileScale::kNone: return launch_tiles<Tiles<kCode, TileScale::kNone, 1, false>>(p, launch);
    case TileScale::kF32: return launch_tiles<Tiles<kCode, TileScale::kF32, 1, false>>(p, launch);
    default: return launch_tiles<Tiles<kCode, TileScale::kE8M0, 2, false>>(p, launch);
  }
}

}  // namespace

void launch_skinny_bytes(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  switch (format.code) {
    case TileCode::kInt8:
      return format.zero_points ? launch_tiles<Tiles<TileCode::kInt8, TileScale::kNone, 1, true>>(p, launch)
                                : launch_tiles<Tiles<TileCode::kInt8, TileScale::kNone, 1, false>>(p, launch);
    case TileCode::kE4M3: return launch_fp8<TileCode::kE4M3>(p, format, launch);
    default: return launch_fp8<TileCode::kE5M2>(p, format, launch);
  }
}

}  // namespace qutlass::cuda
