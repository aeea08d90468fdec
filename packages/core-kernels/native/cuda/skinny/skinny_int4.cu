// Skinny products with int4 weights.
#include "cuda/skinny/skinny.cuh"

namespace qutlass::cuda {
namespace {

template <TileScale kScale, int kGroups>
void launch_groups(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  return format.zero_points ? launch_tiles<Tiles<TileCode::kInt4, kScale, kGroups, true>>(p, launch)
                            : launch_tiles<Tiles<TileCode::kInt4, kScale, kGroups, false>>(p, launch);
}

template <TileScale kScale>
void launch_scale(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  switch (format.groups) {
    case 1: return launch_groups<kScale, 1>(p, format, launch);
    case 2: return launch_groups<kScale, 2>(p, format, launch);
    default: return launch_groups<kScale, 4>(p, format, launch);
  }
}

}  // namespace

void launch_skinny_int4(const SkinnyProblem& p, const TileFormat& format, const SkinnyLaunch& launch) {
  switch (format.scale) {
    case TileScale::kNone: return launch_groups<TileScale::kNone, 1>(p, format, launch);
    case TileScale::kBF16: return launch_scale<TileScale::kBF16>(p, format, launch);
    default: return launch_scale<TileScale::kF32>(p, format, launch);
  }
}

}  // namespace qutlass::cuda
