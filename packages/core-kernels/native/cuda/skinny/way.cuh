// The order of the work: which tiles a block has, and how its warps go through them.
#pragma once

#include "cuda/skinny/problem.cuh"

namespace qutlass::cuda {

// Where warps read A: in memory through the first-level cache, or in shared memory, where it is copied to or
// made.
enum class ReadA { kCached, kCopied, kMade };

// Shapes of the kernel: row blocks and tiles of 8 rows of A that a warp has at once, warps of a block, stages
// of a warp's ring at most, and blocks that a multiprocessor has registers for. In one pass, all tiles of a
// warp fit into its ring, and A into shared memory.
template <bool kOnePass_, int kBlocks_, int kTokens_, int kWarps_, int kStages_, int kResident_,
          ReadA kReadA = kOnePass_ ? ReadA::kCopied : ReadA::kCached>
struct SkinnyShape {
  static constexpr bool kOnePass = kOnePass_;
  static constexpr bool kSharedA = kReadA != ReadA::kCached, kMadeA = kReadA == ReadA::kMade;
  static constexpr int kBlocks = kBlocks_, kTokens = kTokens_, kWarps = kWarps_, kStages = kStages_,
                       kResident = kResident_;
  static constexpr int kRows = kBlocks * kTileRows;
  static constexpr int kThreads = kWarps * 32;
};

// The items of a round, tiles of one set of row blocks after the other, in equal stretches for the warps.
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
  __device__ Stretch(int sets, int tiles, int warp) {
    const int first = begin(sets * tiles, warp);
    set = first / tiles;
    tile = first % tiles;
    items = begin(sets * tiles, warp + 1) - first;
  }
};

// A warp's way through its stretches of all rounds, in pieces: tiles of a set, which follow each other in
// memory. Stretches are worked out once, and kept in shared memory.
template <typename Shape>
class Way {
 public:
  static constexpr int kBytes = Shape::kWarps * 2 * static_cast<int>(sizeof(Stretch<Shape>));

  int round;  // its first set

  __device__ Way(const SkinnyExtents& p, const SkinnySplit& split, int first_set, int end_set,
                 uint8_t* shared)
      : round(first_set), end_set_(end_set) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    auto* stretches = reinterpret_cast<Stretch<Shape>*>(shared) + 2 * warp;
    const int last = (end_set - first_set - 1) % split.round_sets + 1;
    // Of whole rounds, and of the last.
    stretches[0] = Stretch<Shape>(split.round_sets, p.tiles, warp);
    stretches[1] = last == split.round_sets ? stretches[0] : Stretch<Shape>(last, p.tiles, warp);
    stretches_ = stretches;
    __syncwarp();
    open(split);
  }

  __device__ int sets(const SkinnySplit& split) const { return min(split.round_sets, end_set_ - round); }
  __device__ bool last_round(const SkinnySplit& split) const {
    return Shape::kOnePass || round + split.round_sets >= end_set_;
  }
  __device__ void to_next_round(const SkinnySplit& split) {
    round += split.round_sets;
    open(split);
  }

  // Items of the round that are left.
  __device__ int left() const { return at_.items; }
  struct Piece {
    int set, tile, tiles;
  };
  __device__ Piece next(const SkinnyExtents& p) {
    const Piece piece{at_.set, at_.tile, min(at_.items, p.tiles - at_.tile)};
    at_.items -= piece.tiles;
    ++at_.set;
    at_.tile = 0;
    return piece;
  }

 private:
  __device__ void open(const SkinnySplit& split) { at_ = stretches_[last_round(split)]; }

  const Stretch<Shape>* stretches_;
  Stretch<Shape> at_;
  int end_set_;
};

}  // namespace qutlass::cuda
