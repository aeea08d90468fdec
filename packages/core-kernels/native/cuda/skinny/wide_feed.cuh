// The warps that bring codes, scales and A into the stages.
#pragma once

#include "cuda/skinny/wide_shape.cuh"

namespace qutlass::cuda {

// The tiles that a block multiplies: a part of K for every item.
struct TileWalk {
  int first_tile, end_tile, item, item_step;
  int tile = first_tile;

  __device__ void advance() {
    if (++tile == end_tile) tile = first_tile, item += item_step;
  }
};

// Codes and scales, by a warp.
template <typename W>
class CodeFeed {
  static constexpr int kScaleBytes = W::T::kTileScaleBytes;

 public:
  __device__ CodeFeed(const WideSources& from, const WidePlan& plan, uint8_t* stages, const TileWalk& walk)
      : from_(from), plan_(plan), turns_(stages, plan), walk_(walk) {}

  // Does not depend on the kernel before.
  __device__ void begin() {
    for (int stages = plan_.stages_bytes / plan_.stage_bytes; stages > 0 && walk_.item < plan_.items;
         --stages)
      fetch();
  }
  __device__ void run() {
    while (walk_.item < plan_.items) {
      turns_.stage().empty().wait(turns_.parity() ^ 1);
      fetch();
    }
  }

 private:
  // The next tile of every row block of a set.
  __device__ void fetch() {
    const WideStage<W> stage = turns_.stage();
    const int first = plan_.set_of(walk_.item) * plan_.warps;
    const BoxCopies copies(stage.full(), plan_.warps * (kTileBytes + kScaleBytes));
    copies.add<kTileBytes>(stage.codes(0), from_.codes, walk_.tile * kTileBytes, first);
    if constexpr (kScaleBytes > 0)
      copies.add<kScaleBytes>(stage.scales(plan_.warps, 0), from_.scales, walk_.tile * kScaleBytes, first);
    turns_.advance();
    walk_.advance();
  }

  const WideSources& from_;
  const WidePlan& plan_;
  Turns<W> turns_;
  TileWalk walk_;
};

// Where the parts of A come that a warp puts in order, plan.ahead of them.
template <typename W>
class TokenSlots {
 public:
  // For all warps.
  static constexpr int bytes(int ahead) {
    return (W::kOrderWarps * ahead * (W::kPartBytes + static_cast<int>(sizeof(Barrier))) + 15) / 16 * 16;
  }

  // shared: a multiple of 1024.
  __device__ TokenSlots(const WidePlan& plan, uint8_t* shared, int warp)
      : ahead_(plan.ahead),
        parts_(shared + warp * ahead_ * W::kPartBytes),
        came_(reinterpret_cast<Barrier*>(shared + W::kOrderWarps * ahead_ * W::kPartBytes) + warp * ahead_) {}

  // By one lane.
  __device__ void init() const {
    for (int i = 0; i < ahead_; ++i) came_[i].init(BoxCopies::kArrivals);
  }
  __device__ uint8_t* part(int i) const { return parts_ + i * W::kPartBytes; }
  __device__ Barrier& came(int i) const { return came_[i]; }

 private:
  int ahead_;
  uint8_t* parts_;
  Barrier* came_;
};

// A warp's part of A. Tiles hold eight neighbouring columns in a lane, where matrix instructions want two
// (tiles.h): so the words of four times 16 bytes change places.
template <typename W>
class TokenFeed {
  using T = typename W::T;

 public:
  __device__ TokenFeed(const SkinnyProblem& p, const WideSources& from, const WidePlan& plan, uint8_t* stages,
                       const TokenSlots<W>& slots, const TileWalk& walk, int warp)
      : from_(from),
        plan_(plan),
        turns_(stages, plan),
        slots_(slots),
        walk_(walk),
        rows_(p.m),
        block_(warp % W::kBlocks),
        first_row_(warp / W::kBlocks * W::kPartRows) {
    const int lane = static_cast<int>(threadIdx.x) % 32, row = lane / 4, to_row = lane % 8;
    const int part = T::kBy16 ? lane % 4 * 2 : lane % 4 + row % 2 * 4;
    const int to_part = (T::kBy16 ? 0 : to_row % 2 * 4) + lane / 8;
    read_ = row * 128 + (part ^ row) * 16;
    write_ = to_row * 128 + (to_part ^ to_row) * 16;
  }

  __device__ void run() {
    TileWalk ahead = walk_;
    const auto fetch_next = [&](int to) {
      if (ahead.item >= plan_.items) return;
      const BoxCopies copies(slots_.came(to), from_.a.box_rows * 128);
      copies.add<128, BoxLayout::kSwizzled>(slots_.part(to), from_.a,
                                            (ahead.tile * W::kBlocks + block_) * 128,
                                            plan_.chunk_of(ahead.item) * W::kTokens + first_row_);
      ahead.advance();
    };
    for (int i = 0; i < plan_.ahead; ++i) fetch_next(i);
    int at = 0;
    uint32_t parity = 0;
    for (; walk_.item < plan_.items; walk_.advance(), turns_.advance()) {
      const WideStage<W> stage = turns_.stage();
      stage.empty().wait(turns_.parity() ^ 1);
      slots_.came(at).wait(parity);
      const int rows = rows_ - plan_.chunk_of(walk_.item) * W::kTokens - first_row_;
      order(slots_.part(at), stage.tokens(block_) + first_row_ * 128, (rows + 7) / 8);
      fence_async_proxy();
      __syncwarp();
      if (threadIdx.x % 32 == 0) stage.full().arrive();
      fetch_next(at);
      if (++at == plan_.ahead) at = 0, parity ^= 1;
    }
  }

 private:
  // Groups of eight rows, as far as A has them, each half of their columns. Neighbouring rows are at
  // different halves, where that keeps their parts in different banks.
  __device__ void order(const uint8_t* from, uint8_t* to, int groups) const {
    constexpr int kAtOnce = 2;
#pragma unroll
    for (int first = 0; first < W::kPartRows / 8; first += kAtOnce) {
      if (first >= groups) break;
      uint4 words[kAtOnce][2];
#pragma unroll
      for (int i = 0; i < kAtOnce * 2; ++i) {
        const uint32_t read = read_ ^ (i % 2 * (T::kBy16 ? 16 : 64));
        words[i / 2][i % 2] = *reinterpret_cast<const uint4*>(from + (first + i / 2) * 1024 + read);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce * 2; ++i) {
        const uint4& word = words[i / 2][i % 2];
        store_matrices(to + (first + i / 2) * 1024 + (write_ ^ i % 2 * 64), word.x, word.y, word.z, word.w);
      }
    }
  }

  const WideSources& from_;
  const WidePlan& plan_;
  Turns<W> turns_;
  const TokenSlots<W> slots_;
  TileWalk walk_;
  const int rows_, block_, first_row_;
  uint32_t read_, write_;  // what this lane reads, and whose row it addresses
};

}  // namespace qutlass::cuda
