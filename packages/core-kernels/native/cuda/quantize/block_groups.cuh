// Quantization where a group fills a thread block, a row or a square, or more than one.
#pragma once

#include <algorithm>

#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/quantize/combine.cuh"
#include "cuda/quantize/quantize.cuh"
#include "cuda/quantize/quick_scale.cuh"
#include "launch.h"

namespace qutlass::cuda {

template <typename Input, typename Spans>
struct BlockJob {
  Input in;
  Rotation rotation;
  RandomSource random;
  qutlass_quantized out;
  Spans spans;
  const GroupRange* partial;  // of the parts, `partials` to each; null: each span is a group
  int64_t partials;
  RangeDivisor range_divisor;
};

// The scale of the group of a span.
template <int kTiles, typename Input, typename Spans>
__device__ GroupScale span_scale(const BlockJob<Input, Spans>& job, int64_t index,
                                 const typename Spans::Item& span, const float (&x)[kTiles][kTile]) {
  const GroupRange range = job.partial
                               ? combine_ranges(job.partial + span.part * job.partials, job.partials)
                               : block_range(range_of<kTiles * kTile>(x[0], is_symmetric(job.out.format)));
  const GroupScale scale = group_scale(job.out.format, range, load_global_scale(job.out), job.range_divisor);
  if (threadIdx.x == 0 && (!job.partial || index == span.part * job.spans.per_part())) {
    const int64_t groups = scale_cols(job.out), row = quotient(span.part, groups);
    store_group_scale(job.out, row, span.part - row * groups, scale);
  }
  return scale;
}

// Where a thread holds little, so many blocks that they hide the latency of memory.
template <RotateBy kBy, int kTiles>
constexpr int kBlocks = kTiles <= 2 && kBy != RotateBy::kBlock ? 2 : 1;

// kStochastic: rounds with random numbers.
template <RotateBy kBy, int kTiles, bool kStochastic, typename Input, typename Spans>
__global__ void __launch_bounds__(kMostThreads, kBlocks<kBy, kTiles>)
    block_groups_kernel(const __grid_constant__ BlockJob<Input, Spans> job) {
  await_dependency();
  Rotator<kBy> rotator(job.rotation);
  const int32_t bits = element_storage_bits(job.out.format.element);
  const RandomNumbers numbers(job.random);
  // Backwards where x is read for the second time: its end is what the cache still has of it.
  const auto place = [&](int64_t i) { return job.partial ? job.spans.count() - 1 - i : i; };
  for (int64_t i = blockIdx.x; i < job.spans.count(); i += gridDim.x) {
    const int64_t index = place(i);
    const auto span = job.spans.at(index);
    float x[kTiles][kTile];
    rotator.load(job.in, span, x);
    if (i + gridDim.x < job.spans.count()) rotator.prefetch(job.in, job.spans.at(place(i + gridDim.x)));
    const GroupScale scale = span_scale(job, index, span, x);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const int position = held_position<kTiles, kTile>(tile), count = span.count(position, kTile);
      if (count == 0) continue;
      TileCodes codes;
      if constexpr (kStochastic) {
        TileRandom random;
        numbers.fill(span.offset(position), count, job.out.cols, random);
        encode_tile(job.out.format, scale, x[tile], codes, static_cast<const uint32_t*>(random));
      } else {
        encode_tile(job.out.format, scale, x[tile], codes);
      }
      store_tile(job.out.codes, bits, span.offset(position), count, codes);
    }
    if constexpr (!kSeveralSpans<kBy>) break;
  }
}

template <RotateBy kBy, int kTiles, bool kStochastic, typename Input, typename Spans>
void launch_block_groups(CudaStream& s, const BlockJob<Input, Spans>& job) {
  const int bytes = rotation_bytes<kBy, Input>(job.spans.length());
  constexpr auto* kKernel = block_groups_kernel<kBy, kTiles, kStochastic, Input, Spans>;
  allow_shared_memory<kKernel>(bytes);
  const int threads = job.spans.length() / (kTiles * kTile);
  launch_dependent(s, kKernel,
                   {span_blocks<kBy>(job.spans.count(), threads), static_cast<unsigned>(threads),
                    static_cast<size_t>(bytes)},
                   job);
}

// Whether the rotation has its own number of tiles for a thread.
constexpr bool has_given_tiles(RotateBy by) { return by == RotateBy::kBlock || matrix_size(by) != 0; }

// The tiles of a thread where the rotation has its own number of them, else 0.
inline int given_tiles(const qutlass_rotation& rotation) {
  int tiles = 0;
  with_rotation(rotation, [&](auto constant) {
    if (has_given_tiles(constant())) tiles = kTilesBy<constant()>;
  });
  return tiles;
}

template <bool kStochastic, typename Input>
void launch_block_groups(CudaStream& s, const QuantizeJob<Input>& job, const Spans& spans, int tiles,
                         const GroupRange* partial = nullptr, int64_t partials = 0) {
  const BlockJob<Input, Spans> block{
      job.in,   kernel_rotation(job.rotation), RandomSource(job.rounding), job.out, spans, partial,
      partials, RangeDivisor(job.out.format)};
  with_input_rotation<Input>(job.rotation, [&](auto constant) {
    constexpr RotateBy kBy = constant();
    if constexpr (has_given_tiles(kBy)) {
      launch_block_groups<kBy, kTilesBy<kBy>, kStochastic>(s, block);
    } else {
      switch (tiles) {
        case 1: return launch_block_groups<kBy, 1, kStochastic>(s, block);
        case 2: return launch_block_groups<kBy, 2, kStochastic>(s, block);
        default:
          if constexpr (Input::kMostTiles == 4) launch_block_groups<kBy, 4, kStochastic>(s, block);
      }
    }
  });
}

// `groups` of so many elements, each in one thread block.
template <bool kStochastic = false, typename Input>
void launch_whole_groups(CudaStream& s, const QuantizeJob<Input>& job, int64_t groups, int64_t elements) {
  constexpr int64_t kFew = 256;  // groups, to be spread over as many threads as possible
  int tiles = given_tiles(job.rotation);
  if (!tiles) tiles = groups < kFew ? 1 : 2;
  while (elements > tiles * kMostThreads * kTile) tiles *= 2;
  // Large Hadamard matrices divide spans of a multiple of 2048 elements.
  const int step = rotate_by(job.rotation) == RotateBy::kBlock ? 2048 : 32 * tiles * kTile;
  const auto length = static_cast<int32_t>(ceil_div(elements, step) * step);
  launch_block_groups<kStochastic>(s, job, Spans(groups, elements, length), tiles);
}

template <bool kStochastic>
void enqueue_squares(CudaStream& s, const QuantizeJob<DenseInput>& job) {
  const Squares squares(job.out.rows, job.out.cols);
  const BlockJob<DenseInput, Squares> block{
      job.in, kernel_rotation(job.rotation), RandomSource(job.rounding), job.out, squares, nullptr,
      0,      RangeDivisor(job.out.format)};
  with_rotation(job.rotation, [&](auto constant) {
    constexpr RotateBy kBy = constant();
    // Hadamard matrices that need a block cross squares.
    if constexpr (kBy != RotateBy::kBlock)
      launch_block_groups<kBy, matrix_size(kBy) ? kTilesBy<kBy> : 4, kStochastic>(s, block);
  });
}

template <bool kStochastic>
void enqueue_block_groups(CudaStream& s, const QuantizeJob<DenseInput>& job, const LongGroups& groups) {
  launch_whole_groups<kStochastic>(s, job, groups.groups, groups.elements);
}

template <bool kStochastic>
void enqueue_long_groups(CudaStream& s, const QuantizeJob<DenseInput>& job, const LongGroups& groups,
                         const GroupRange* partial) {
  const int given = given_tiles(job.rotation), tiles = given ? given : 2;
  const int least = rotate_by(job.rotation) == RotateBy::kBlock ? job.rotation.size : 0;
  const int32_t length = std::max(256 * tiles * kTile, least);
  launch_block_groups<kStochastic>(s, job, Spans(groups.groups, groups.elements, length), tiles, partial,
                                   groups.blocks_per_group());
}

}  // namespace qutlass::cuda
