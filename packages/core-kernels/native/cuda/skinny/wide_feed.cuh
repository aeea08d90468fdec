// The warps that bring codes, scales and A into the stages.
#pragma once

#include "cuda/skinny/wide_shape.cuh"

namespace qutlass::cuda {

// The tiles that a block multiplies: a part of K for every set of row blocks.
struct TileWalk {
  int first_tile, end_tile, set, set_step;
  int tile = first_tile;

  __device__ void advance() {
    if (++tile == end_tile) tile = first_tile, set += set_step;
  }
};

// Codes and scales, by kCodeWarps warps.
template <typename W>
class CodeFeed {
  using T = typename W::T;
  static constexpr int kScaleParts = T::kTileScaleBytes / 16;

 public:
  __device__ CodeFeed(const SkinnyProblem& p, const WidePlan& plan, uint8_t* stages, const TileWalk& walk,
                      int thread)
      : p_(p), plan_(plan), turns_(stages, plan), walk_(walk), thread_(thread) {}

  // Does not depend on the kernel before.
  __device__ void begin() {
    for (int stages = plan_.stages_bytes / plan_.stage_bytes; stages > 0 && walk_.set < plan_.sets; --stages)
      fetch();
  }
  __device__ void run() {
    while (walk_.set < plan_.sets) {
      turns_.stage().empty().wait(turns_.parity() ^ 1);
      fetch();
    }
    end_copy_group();
    wait_for_copies<0>();
  }

 private:
  // The next tile of every row block of the set.
  __device__ void fetch() {
    const WideStage<W> stage = turns_.stage();
    const int own = thread_ / 32, lane = thread_ % 32;
    const int first = walk_.set * plan_.warps, blocks = min(p_.row_blocks - first, plan_.warps);
    const int64_t tile = static_cast<int64_t>(first) * p_.tiles + walk_.tile;
    const uint8_t* from = p_.codes + (tile + own * p_.tiles) * kTileBytes + lane * 16;
    uint8_t* to = stage.codes(own) + lane * 16;
#pragma unroll 4
    for (int block = own; block < blocks; block += W::kCodeWarps) {
      copy_async<16>(to, from);
      copy_async<16>(to + kTileBytes / 2, from + kTileBytes / 2);
      from += static_cast<int64_t>(p_.tiles) * (W::kCodeWarps * kTileBytes);
      to += W::kCodeWarps * kTileBytes;
    }
    if constexpr (kScaleParts > 0) {
      for (int i = thread_; i < blocks * kScaleParts; i += W::kCodeWarps * 32) {
        const int64_t of = tile + static_cast<int64_t>(i / kScaleParts) * p_.tiles;
        copy_async<16>(stage.scales(plan_.warps, 0) + i * 16,
                       p_.scales + of * T::kTileScaleBytes + i % kScaleParts * 16);
      }
    }
    stage.full().arrive_after_copies();
    turns_.advance();
    walk_.advance();
  }

  const SkinnyProblem& p_;
  const WidePlan& plan_;
  Turns<W> turns_;
  TileWalk walk_;
  const int thread_;
};

// A, by kTokenWarps warps. A lane copies 16 bytes of a row, and puts what it copied in order when it has
// come.
template <typename W>
class TokenFeed {
  using T = typename W::T;
  static constexpr int kThreads = W::kTokenWarps * 32;
  // A turn is 64 columns of four rows for each warp.
  static constexpr int kRows = W::kTokenWarps * 4, kRowTurns = (W::kTokens + kRows - 1) / kRows;
  static_assert(kRows % 4 == 0);

 public:
  // Columns of a tile as they come.
  struct Stage {
    uint4 parts[kRowTurns][W::kBlocks][kThreads];
  };

  __device__ TokenFeed(const SkinnyProblem& p, const WidePlan& plan, uint8_t* stages, Stage* coming,
                       const TileWalk& walk, int thread)
      : p_(p),
        plan_(plan),
        turns_(stages, plan),
        coming_(coming),
        walk_(walk),
        thread_(thread),
        column_(thread % 8 * 8),
        rows_(p.m - thread / 8) {
    from_ = p.a + (static_cast<int64_t>(thread / 8) * p.k + column_) * 2;
    // Eight columns are two steps of one lane of a fragment: their words go to the same place of four parts.
    const int part = thread % 8;
    const int t = T::kBy16 ? part / 2 : part % 4, first = T::kBy16 ? part % 2 * 4 : part / 4 * 4;
    to_ = thread / 8 * 128 + (first ^ thread / 8 % 8) * 16 + t * 4;
  }

  __device__ void run() {
    TileWalk ahead = walk_;
    int ahead_at = 0, at = 0;
    const auto fetch_next = [&] {
      if (ahead.set < plan_.sets) fetch(ahead.tile, coming_[ahead_at]);
      ahead.advance();
      if (++ahead_at == W::kTokensAhead) ahead_at = 0;
      end_copy_group();
    };
#pragma unroll
    for (int i = 0; i < W::kTokensAhead; ++i) fetch_next();
    for (; walk_.set < plan_.sets; walk_.advance(), turns_.advance()) {
      const WideStage<W> stage = turns_.stage();
      wait_for_copies<W::kTokensAhead - 1>();
      stage.empty().wait(turns_.parity() ^ 1);
      order(coming_[at], stage.tokens(0));
      if (++at == W::kTokensAhead) at = 0;
      fence_async_proxy();
      __syncwarp();
      if (threadIdx.x % 32 == 0) stage.full().arrive();
      fetch_next();
    }
  }

 private:
  __device__ void fetch(int tile, Stage& to) const {
    const uint8_t* from = from_ + static_cast<int64_t>(tile) * (T::kCols * 2);
    bool inside[W::kBlocks];
#pragma unroll
    for (int block = 0; block < W::kBlocks; ++block)
      inside[block] = tile * T::kCols + block * 64 + column_ < p_.k;
#pragma unroll
    for (int turn = 0; turn < kRowTurns; ++turn) {
      if (turn * kRows < rows_) {
#pragma unroll
        for (int block = 0; block < W::kBlocks; ++block)
          copy_async_or_zero(&to.parts[turn][block][thread_], from + block * 128, inside[block]);
      }
      from += static_cast<int64_t>(kRows * 2) * p_.k;
    }
  }
  __device__ void order(const Stage& from, uint8_t* tokens) const {
    const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(tokens)) + to_;
#pragma unroll
    for (int turn = 0; turn < kRowTurns; ++turn) {
      if (turn * kRows >= rows_) continue;
      // The swizzle of rows that are an odd multiple of four apart.
      const uint32_t turned = to ^ (turn * kRows % 8 ? 64 : 0);
#pragma unroll
      for (int block = 0; block < W::kBlocks; ++block) {
        const uint4 words = from.parts[turn][block][thread_];
        const uint32_t offset = (block * W::kTokens + turn * kRows) * 128;
        store_shared(turned + offset, words.x);
        store_shared((turned ^ 16) + offset, words.y);
        store_shared((turned ^ 32) + offset, words.z);
        store_shared((turned ^ 48) + offset, words.w);
      }
    }
  }
  __device__ static void store_shared(uint32_t address, uint32_t value) {
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
  }

  const SkinnyProblem& p_;
  const WidePlan& plan_;
  Turns<W> turns_;
  Stage* const coming_;
  TileWalk walk_;
  const int thread_, column_, rows_;  // rows of A from this lane's first on
  const uint8_t* from_;
  uint32_t to_;
};

}  // namespace qutlass::cuda
