// The order of the work: which tiles a block has, and how its warps go through them.
#pragma once

#include "cuda/skinny/skinny.h"

namespace qutlass::cuda {

// Shapes of the kernel: row blocks and tiles of 8 rows of A that a warp has at once, warps of a block, stages
// of a warp's ring at most, how many of them fill before the kernel waits, and blocks that a multiprocessor
// has registers for. In one pass, all that a warp has fits into its ring, and all of A into shared memory.
template <int kBlocks_, int kTokens_, int kWarps_, int kStages_, int kEarly_, int kResident_, bool kOnePass_>
struct SkinnyShape {
  static constexpr int kBlocks = kBlocks_, kTokens = kTokens_, kWarps = kWarps_, kStages = kStages_,
                       kEarly = kEarly_, kResident = kResident_;
  static constexpr bool kOnePass = kOnePass_;
  static constexpr int kRows = kBlocks * kTileRows;
  static constexpr int kThreads = kWarps * 32;
};

template <typename Shape>
__device__ inline int log_cluster(const SkinnySplit& split) {
  return Shape::kOnePass ? 0 : split.log_cluster;
}

// What a block works on: tiles along K of sets of row blocks.
template <typename Shape>
struct Share {
  int rank;  // of the block in its cluster
  int first_set, end_set;
  int first_tile, tiles;

  __device__ Share(const SkinnyProblem& p, const SkinnySplit& split) {
    const int log = log_cluster<Shape>(split), cluster = static_cast<int>(blockIdx.x) >> log;
    rank = static_cast<int>(blockIdx.x) & ((1 << log) - 1);
    first_set = static_cast<int>(static_cast<int64_t>(split.sets) * cluster / split.clusters);
    end_set = static_cast<int>(static_cast<int64_t>(split.sets) * (cluster + 1) / split.clusters);
    first_tile = p.tiles * rank >> log;
    tiles = (p.tiles * (rank + 1) >> log) - first_tile;
  }
};

// The items of a round and a chunk, tiles of one set after the other, in equal stretches for the warps. The
// last chunk has fewer tiles, but the same stretches, so that warps keep their sets.
template <typename Shape>
struct alignas(16) Stretch {
  int set, tile, items;  // where it begins, and how many there are

  __device__ static int begin(int all, int warp) {
    return all < Shape::kWarps ? min(warp, all) : all * warp / Shape::kWarps;
  }
  __device__ static int owner(int all, int item) {
    return all < Shape::kWarps ? item : (Shape::kWarps * (item + 1) + all - 1) / all - 1;
  }

  Stretch() = default;
  __device__ Stretch(int sets, int chunk_tiles, int warp) {
    const int first = begin(sets * chunk_tiles, warp);
    set = first / chunk_tiles;
    tile = first % chunk_tiles;
    items = begin(sets * chunk_tiles, warp + 1) - first;
  }
};

// A warp's way through rounds, chunks and its stretches of them, in pieces: tiles of a set that follow each
// other in memory. Stretches are worked out once, and kept in shared memory.
template <typename Shape>
class Way {
 public:
  static constexpr int kBytes = Shape::kWarps * 2 * static_cast<int>(sizeof(Stretch<Shape>));

  int round;  // its first set
  int chunk = 0;

  __device__ Way(const SkinnySplit& split, const Share<Shape>& share, uint8_t* shared)
      : round(share.first_set), end_set_(share.end_set) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    auto* stretches = reinterpret_cast<Stretch<Shape>*>(shared) + 2 * warp;
    const int last = (share.end_set - share.first_set - 1) % split.round_sets + 1;
    // Of whole rounds, and of the last.
    stretches[0] = Stretch<Shape>(split.round_sets, split.chunk_tiles, warp);
    stretches[1] =
        last == split.round_sets ? stretches[0] : Stretch<Shape>(last, split.chunk_tiles, warp);
    stretches_ = stretches;
    __syncwarp();
    open(split);
  }

  __device__ int sets(const SkinnySplit& split) const { return min(split.round_sets, end_set_ - round); }
  __device__ bool last_round(const SkinnySplit& split) const {
    return Shape::kOnePass || round + split.round_sets >= end_set_;
  }
  // Goes back to the start of the stretch.
  __device__ void open(const SkinnySplit& split) { at_ = stretches_[last_round(split)]; }

  __device__ int left() const { return at_.items; }
  // Whether what is left is of one set.
  __device__ bool one_set(const SkinnySplit& split) const { return at_.tile + at_.items <= split.chunk_tiles; }

  // The next piece of the stretch: its tiles of the chunk, of which there may be none.
  struct Piece {
    int set, tile, tiles;
  };
  __device__ Piece next(const SkinnySplit& split, const Share<Shape>& share) {
    const int inside = min(split.chunk_tiles, share.tiles - chunk * split.chunk_tiles);
    const int end = min(at_.tile + at_.items, split.chunk_tiles);
    const Piece piece{at_.set, at_.tile, max(min(end, inside) - at_.tile, 0)};
    at_.items -= end - at_.tile;
    ++at_.set;
    at_.tile = 0;
    return piece;
  }

 private:
  const Stretch<Shape>* stretches_;
  Stretch<Shape> at_;
  int end_set_;
};

}  // namespace qutlass::cuda
