// The quantizers of transposes.
#pragma once

#include "cuda/quantize/block_groups.cuh"
#include "cuda/quantize/ranges.cuh"
#include "cuda/quantize/short_groups.cuh"
#include "cuda/quantize/transposed_input.cuh"

namespace qutlass::cuda {

// visit(std::integral_constant) as with_rotation, for rotations of up to 128 columns.
template <typename Visit>
void with_short_rotation(const qutlass_rotation& rotation, const Visit& visit) {
  with_rotation(rotation, [&](auto by) {
    if constexpr (by() != RotateBy::kBlock) visit(by);
  });
}

template <RotateBy kBy>
using StripsBy = Strips<kTilesBy<kBy> == 4 ? 128 : 64>;
template <RotateBy kBy>
constexpr int kStripThreads = StripsBy<kBy>::Item::kLength / (kTilesBy<kBy> * kTile);

template <typename Source>
void enqueue_transposed_scale(CudaStream& s, const TransposedJob<Source>& job, GroupRange* partial) {
  with_short_rotation(job.rotation, [&](auto by) {
    const StripsBy<by()> strips(job.out.rows, job.out.cols);
    const int64_t blocks = std::min(strips.count(), kRangeBlocks);
    const RangesJob<TransposedInput<Source>, StripsBy<by()>> ranges{job.in,
                                                                    kernel_rotation(job.rotation),
                                                                    strips,
                                                                    1,
                                                                    strips.count(),
                                                                    blocks,
                                                                    NonFinite::kIgnore,
                                                                    true,
                                                                    partial,
                                                                    {}};
    launch_ranges<by()>(s, ranges, kStripThreads<by()>);
    enqueue_combined_nv_scale(s, partial, blocks, job.out.format.rule, job.out.global_scale);
  });
}

template <bool kStochastic, typename Source>
void enqueue_transposed(CudaStream& s, const TransposedJob<Source>& job) {
  using Input = TransposedInput<Source>;
  const qutlass_quantized& out = job.out;
  with_short_rotation(job.rotation, [&](auto by) {
    constexpr int kTiles = kTilesBy<by()>;
    if (out.format.group_rows == kSquare) {
      const BlockJob<Input, Strips<kSquare>> block{job.in,
                                                   kernel_rotation(job.rotation),
                                                   RandomSource(job.rounding),
                                                   out,
                                                   Strips<kSquare>(out.rows, out.cols),
                                                   nullptr,
                                                   0,
                                                   RangeDivisor(out.format)};
      return launch_block_groups<by(), kTiles, kStochastic>(s, block);
    }
    const StripsBy<by()> strips(out.rows, out.cols);
    with_recipe(out.format, [&](auto recipe) {
      launch_short_groups<recipe(), by(), kTiles, kStochastic>(s, job, strips, kStripThreads<by()>);
    });
  });
}

}  // namespace qutlass::cuda
