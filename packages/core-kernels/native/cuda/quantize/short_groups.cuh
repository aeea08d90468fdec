// Quantization in groups of 16 to 128 elements of a row, which lie in one lane or in neighbouring ones: one
// pass over the matrix.
#pragma once

#include <algorithm>
#include <bit>
#include <type_traits>

#include "cuda/atoms/cluster.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/data/divisor.h"
#include "cuda/model/dense.cuh"
#include "cuda/quantize/bf16_tile.cuh"
#include "cuda/quantize/cluster_amax.cuh"
#include "cuda/quantize/quantize.cuh"
#include "cuda/quantize/quick_scale.cuh"
#include "launch.h"

namespace qutlass::cuda {

// What a kernel knows of the format when it is compiled.
enum class Recipe {
  kE2M1,        // e2m1, a scale from the largest magnitude
  kStatistics,  // e2m1, a scale from more: QuEST, four over six
  kInt4,        // int4 or uint4
  kAny,         // other elements
};

constexpr bool is_e2m1(Recipe recipe) { return recipe == Recipe::kE2M1 || recipe == Recipe::kStatistics; }

// Whether tiles of a lane can be 64 elements apart (rotation.cuh): groups of e2m1 codes have at most 32, and
// one of 128 is the tiles of four lanes, if a lane has both.
template <Recipe kRecipe, RotateBy kBy, int kTiles, typename Input>
constexpr bool kCanPair =
    std::is_same_v<Input, DenseInput> &&
    (kBy == RotateBy::kMatrix128 ? is_e2m1(kRecipe)
                                 : kBy == RotateBy::kLanes && kTiles == 2 && kRecipe != Recipe::kAny);

// Of a block at most, and the blocks that a multiprocessor is to hold at once.
template <RotateBy kBy>
constexpr int kShortThreads = matrix_size(kBy) ? 256 : kMostThreads;
template <RotateBy kBy>
constexpr int kShortBlocks = std::max(1, kBlocksBy<kBy> * 256 / kShortThreads<kBy>);

// A job, and what kernels would compute again for every group.
template <typename Input, typename Spans>
struct ShortJob {
  Input in;
  Rotation rotation;
  RandomSource random;
  qutlass_quantized out;
  Spans spans;
  unsigned span_blocks;  // more blocks clear the padding
  int cluster;           // of all span blocks, which find the global scale; 0: it is given
  int64_t padding;
  int32_t bits;      // of a code
  int32_t lanes;     // of a group
  int32_t shift;     // a group has 2^shift elements
  bool byte_scales;  // 1 byte each, perhaps in blocks
  Divisor groups;    // of a row
  bool few_scales;   // offsets of scales have 31 bits
  RangeDivisor range_divisor;
};

template <typename Job>
__device__ GroupScale quick_e2m1_scale(const Job& job, float amax, float global_scale) {
  qutlass_format format = job.out.format;
  format.element = QUTLASS_E2M1;  // a constant
  return quick_byte_scale(format, amax, global_scale, job.range_divisor);
}

// Of a group with this range, of which a tile is x.
template <Recipe kRecipe, typename Job>
__device__ GroupScale short_scale(const Job& job, const GroupRange& range, float (&x)[kTile],
                                  float global_scale) {
  qutlass_format format = job.out.format;
  if constexpr (!is_e2m1(kRecipe)) {
    if (kRecipe == Recipe::kInt4) format.rule = QUTLASS_RULE_AMAX;
    return group_scale(format, range, global_scale, job.range_divisor);
  } else {
    format.element = QUTLASS_E2M1;  // a constant
    const float amax = range.high();
    GroupScale scale;
    if constexpr (kRecipe == Recipe::kE2M1) {
      if (is_quick(amax, global_scale)) return quick_e2m1_scale(job, amax, global_scale);
      scale = byte_scale(format, amax, global_scale);
    } else if (format.rule == QUTLASS_RULE_MX_QUEST) {
      scale = lanes_quest(x, job.lanes, amax);
    } else {
      scale = tile_four_six(x, amax, global_scale);
    }
    if (!is_usable(range, global_scale)) return {kNaNScale, 0, 0};
    if (format.rule != QUTLASS_RULE_MX_QUEST) keep_bits(scale, x);
    return scale;
  }
}

// The places of the scales of the groups of a lane.
template <typename Job>
class ScalePlaces {
 public:
  __device__ explicit ScalePlaces(const Job& job) : job_(job) {}

  __device__ int64_t place() const { return place_; }

  // To the group that starts at this offset.
  __device__ void find(int64_t offset) {
    place_ = offset >> job_.shift;
    if (job_.out.scale_layout != QUTLASS_SCALES_BLOCKED_128X4) return;
    const uint32_t across = job_.groups.divisor();
    if (!job_.few_scales) {
      const int64_t row = job_.groups.quotient(place_), col = place_ - row * across;
      place_ = blocked_offset(row, col, across);
      rest_ = across - static_cast<uint32_t>(col);
      return;
    }
    const auto group = static_cast<uint32_t>(place_);
    const uint32_t row = job_.groups.small_quotient(group), col = group - row * across;
    place_ = (row / 128 * ((across + 3) / 4) + col / 4) * 512 + row % 32 * 16 + row % 128 / 32 * 4 + col % 4;
    rest_ = across - col;
  }

  // To the group 64 elements on, in the same 128 elements.
  __device__ void find_paired() {
    const uint32_t groups = 64u >> job_.shift;  // 4, or 2 in the same four
    place_ += groups == 4 && job_.out.scale_layout == QUTLASS_SCALES_BLOCKED_128X4 ? 512 : groups;
  }

  // From the group that starts so many tiles before this offset.
  __device__ void find_next(int64_t offset, uint32_t tiles) {
    const uint32_t groups = tiles * kTile >> job_.shift;  // a multiple of 4
    if (job_.out.scale_layout != QUTLASS_SCALES_BLOCKED_128X4) {
      place_ += groups;
    } else if (rest_ > groups) {
      place_ += groups * 128;
      rest_ -= groups;
    } else {
      find(offset);
    }
  }

 private:
  const Job& job_;
  int64_t place_ = 0;
  uint32_t rest_ = 0;  // groups of the row from this one on
};

template <Recipe kRecipe, typename Job>
__device__ void store_short_scale(const Job& job, int64_t place, const GroupScale& scale) {
  const qutlass_quantized& out = job.out;
  if constexpr (!is_e2m1(kRecipe)) {
    if (out.zero_points)
      static_cast<uint8_t*>(out.zero_points)[place] = static_cast<uint8_t>(scale.zero_point);
    if (kRecipe == Recipe::kInt4 || !job.byte_scales)
      return store_dense(out.scales, out.format.scale_dtype, place, scale.scale);
  }
  // The exponent of a power of two, and that of NaN, are its code.
  static_cast<uint8_t*>(out.scales)[place] = out.format.scale_dtype == QUTLASS_F8_E8M0
                                                 ? static_cast<uint8_t>(__float_as_uint(scale.scale) >> 23)
                                                 : e4m3_code(scale.scale);
}

// Blocked scales are padded to tiles of 128 rows x 4 groups with zeros. As words of 4 groups: those of the
// rows below the matrix, and bytes at the ends of the others.
struct Padding {
  int64_t rows, cols, rows_below, words_across;

  __host__ __device__ explicit Padding(const qutlass_quantized& out)
      : rows(out.rows),
        cols(scale_cols(out)),
        rows_below(ceil_div(rows, 128) * 128 - rows),
        words_across(ceil_div(cols, 4)) {}
  int64_t items() const { return rows_below * words_across + (cols % 4 ? rows : 0); }

  __device__ void clear(uint8_t* scales, int64_t item) const {
    if (item < rows_below * words_across) {
      const int64_t row = quotient(item, words_across), word = item - row * words_across;
      return store_bytes(scales + blocked_offset(rows + row, word * 4, cols), 4, 0);
    }
    const int64_t row = item - rows_below * words_across;
    for (int64_t col = cols; col < words_across * 4; ++col) scales[blocked_offset(row, col, cols)] = 0;
  }
};

// The global scale of what the blocks of a cluster hold, one span each.
template <typename Job>
__device__ float find_global_scale(const Job& job, const GroupRange& range) {
  const int32_t rule = job.out.format.rule;
  const float scale =
      rule == QUTLASS_RULE_MX_ABS_MAX ? kMxAbsMax : nv_global_scale(rule, cluster_amax(range, job.cluster));
  if (blockIdx.x == 0 && threadIdx.x == 0) *job.out.global_scale = scale;
  return scale;
}

// kStochastic: rounds with random numbers. kPaired: tiles of a lane are 64 elements apart.
template <Recipe kRecipe, RotateBy kBy, int kTiles, bool kStochastic, bool kPaired, typename Input,
          typename Spans>
__global__ void __launch_bounds__(kShortThreads<kBy>, kShortBlocks<kBy>)
    short_groups_kernel(const __grid_constant__ ShortJob<Input, Spans> job) {
  await_dependency();
  const qutlass_quantized& out = job.out;
  if (blockIdx.x >= job.span_blocks) {
    const int64_t item = int64_t{blockIdx.x - job.span_blocks} * blockDim.x + threadIdx.x;
    if (item < job.padding) Padding(out).clear(static_cast<uint8_t*>(out.scales), item);
    return;
  }
  using TileRotator = Rotator<kBy, kPaired, true>;
  constexpr int kParts = TileRotator::kParts, kHeld = kTiles / kParts;
  TileRotator rotator(job.rotation, job.in, job.spans.at(blockIdx.x));
  if (job.cluster > 1) arrive_at_cluster();
  float global_scale = job.cluster ? 0 : load_global_scale(out);
  const RandomNumbers numbers(job.random);
  // Groups of eight tiles are the two tiles of four lanes where these are paired.
  constexpr bool kJoins = kPaired && kRecipe == Recipe::kInt4;
  const int lanes = kJoins ? min(job.lanes, 4) : job.lanes;
  const bool leads = (threadIdx.x & (lanes - 1)) == 0;
  // Parts are made twice where the global scale is found from all of them, and have negative numbers before.
  constexpr bool kFinds = is_e2m1(kRecipe);
  int part = kFinds && kParts > 1 && job.cluster ? -kParts : 0;
  GroupRange found;
  for (int64_t index = blockIdx.x;;) {
    const auto span = job.spans.at(index);
    // What an operation makes is in bfloat16 and stays so for a while, unless it is rotated.
    constexpr bool kIsPacked =
        kBy == RotateBy::kNothing && !std::is_same_v<Input, DenseInput> && !Input::kStaged;
    TileWords words[kIsPacked ? kHeld : 1];
    float x[kHeld][kTile];
    if constexpr (kIsPacked) {
      job.in.load_words(span, words);
      unpack_tiles(words, x);
    } else {
      rotator.load(job.in, span, x, part & (kParts - 1));
    }
    if constexpr (kFinds && kParts > 1) {
      if (part < 0) {
        found.highest = max(found.highest, finite_range(x).highest);
        if (++part == 0) global_scale = find_global_scale(job, found);
        continue;
      }
    }
    const int64_t next = index + job.span_blocks;
    if constexpr (kSeveralSpans<kBy>) {
      if (part == kParts - 1 && next < job.spans.count()) rotator.prefetch(job.in, job.spans.at(next));
    }
    if (kFinds && kParts == 1 && job.cluster) global_scale = find_global_scale(job, finite_range(x));
    // In the usual case fewer questions.
    constexpr bool kInOrder = std::is_same_v<Spans, cuda::Spans>;
    const int bits = kRecipe == Recipe::kAny ? job.bits : 4;
    const bool whole = kInOrder && has_all_tiles<kTiles>(span) &&
                       is_aligned<16>(static_cast<uint8_t*>(out.codes) + (span.offset(0) * bits >> 3));
    const auto range_of = [&](int tile) {
      const bool symmetric = is_e2m1(kRecipe) || is_symmetric(out.format);
      if (kIsPacked && symmetric) return lanes_range(words[kIsPacked ? tile : 0], lanes);
      return lanes_range(x[tile], lanes, symmetric);
    };
    GroupRange ranges[kHeld];
    if constexpr (kJoins) {
#pragma unroll
      for (int tile = 0; tile < kHeld; ++tile) ranges[tile] = range_of(tile);
      if (job.lanes > lanes) ranges[0].add(ranges[1]), ranges[1] = ranges[0];
    }
    ScalePlaces places(job);
#pragma unroll
    for (int tile = 0; tile < kHeld; ++tile) {
      const GroupRange range = kJoins ? ranges[tile] : range_of(tile);
      GroupScale scale;
      TileCodes codes;
      const auto encode = [&](const auto*... random) {
        if constexpr (kRecipe == Recipe::kInt4) {
          encode_int4_tile(out.format, scale, x[tile], codes, random...);
        } else if constexpr (kRecipe == Recipe::kAny) {
          encode_tile(out.format, scale, x[tile], codes, random...);
        } else {
          encode_e2m1_tile(scale, x[tile], codes, random...);
        }
      };
      if (kIsPacked && kRecipe == Recipe::kE2M1 &&
          has_exact_products(out.format, range.high(), global_scale)) {
        scale = quick_e2m1_scale(job, range.high(), global_scale);
        encode_e2m1_words(scale.multiplier, words[kIsPacked ? tile : 0], codes);
      } else {
        scale = short_scale<kRecipe>(job, range, x[tile], global_scale);
        if constexpr (kIsPacked) encode();
      }
      const int position = TileRotator::template position<kTiles>(part, tile);
      const int count = whole ? kTile : span.count(position, kTile);
      if (count == 0) continue;
      const int64_t offset = span.offset(position);
      if (leads) {
        if (kPaired && kBy == RotateBy::kLanes && tile > 0) {
          places.find_paired();
        } else if (kInOrder && (kPaired || kBy != RotateBy::kMatrix128) && tile > 0) {
          places.find_next(offset, kPaired ? 64 : 32);
        } else {
          places.find(offset);
        }
        store_short_scale<kRecipe>(job, places.place(), scale);
      }
      if constexpr (kStochastic) {
        const int64_t row = job.groups.quotient(offset >> job.shift);
        TileRandom random;
        numbers.fill(row, offset - row * out.cols, random);
        encode(static_cast<const uint32_t*>(random));
      } else if constexpr (!kIsPacked) {
        encode();
      }
      if (whole) {
        store_whole_tile(out.codes, bits, offset, codes);
      } else {
        store_tile(out.codes, bits, offset, count, codes);
      }
      if (kRecipe == Recipe::kStatistics && out.clip_mask) {
        auto* mask = reinterpret_cast<uint16_t*>(out.clip_mask + (offset >> 3));
        const uint32_t bits = clip_mask_tile(scale, x[tile]);
        if (is_aligned<2>(mask)) {
          *mask = static_cast<uint16_t>(bits);
        } else {
          store_bytes(mask, 2, bits);
        }
      }
    }
    if constexpr (kParts > 1) {
      if (++part < kParts) continue;
      part = 0;
    }
    index = next;
    if (!kSeveralSpans<kBy> || index >= job.spans.count()) break;
  }
}

// Spans of `threads` times kTiles tiles. kPairs: where a Hadamard matrix has more than 64 rows, of a matrix
// in bfloat16 whose rows are aligned.
template <Recipe kRecipe, RotateBy kBy, int kTiles, bool kStochastic = false, bool kPairs = false,
          typename Input, typename Spans>
void launch_short_groups(CudaStream& s, const QuantizeJob<Input>& quantize, const Spans& spans, int threads) {
  const qutlass_quantized& out = quantize.out;
  constexpr bool kPaired = kCanPair<kRecipe, kBy, kTiles, Input> && (kPairs || kBy == RotateBy::kMatrix128);
  const int bytes = rotation_bytes<kBy, Input>(spans.length());
  const bool blocked = out.scale_layout == QUTLASS_SCALES_BLOCKED_128X4;
  const bool constant_scale = out.format.rule == QUTLASS_RULE_MX_ABS_MAX;
  const int cluster = !quantize.find_global_scale ? 0 : constant_scale ? 1 : static_cast<int>(spans.count());
  const ShortJob<Input, Spans> job{
      quantize.in,
      kernel_rotation(quantize.rotation),
      RandomSource(quantize.rounding),
      out,
      spans,
      span_blocks<kBy>(spans.count(), threads),
      cluster,
      blocked ? Padding(out).items() : 0,
      element_storage_bits(out.format.element),
      out.format.group_cols / kTile,
      std::countr_zero(static_cast<uint32_t>(out.format.group_cols)),
      out.format.scale_dtype == QUTLASS_F8_E8M0 || out.format.scale_dtype == QUTLASS_F8_E4M3,
      Divisor(static_cast<uint32_t>(scale_cols(out))),
      blocked_bytes(out.rows, scale_cols(out)) <= INT32_MAX,
      RangeDivisor(out.format)};
  constexpr auto* kKernel = short_groups_kernel<kRecipe, kBy, kTiles, kStochastic, kPaired, Input, Spans>;
  allow_shared_memory<kKernel>(bytes);
  // In whole clusters.
  const int64_t step = int64_t{threads} * std::max(1, cluster);
  const auto padding_blocks = static_cast<unsigned>(ceil_div(job.padding, step) * std::max(1, cluster));
  launch_dependent(s, kKernel,
                   {job.span_blocks + padding_blocks, static_cast<unsigned>(threads),
                    static_cast<size_t>(bytes), static_cast<unsigned>(std::max(1, cluster))},
                   job);
}

// visit(std::integral_constant) with the recipe of a format.
template <typename Visit>
void with_recipe(const qutlass_format& format, const Visit& visit) {
  if (format.element == QUTLASS_INT4 || format.element == QUTLASS_UINT4)
    return visit(std::integral_constant<Recipe, Recipe::kInt4>());
  if (format.element != QUTLASS_E2M1) return visit(std::integral_constant<Recipe, Recipe::kAny>());
  if (format.rule == QUTLASS_RULE_MX_QUEST || format.rule == QUTLASS_RULE_NV_FOUR_SIX)
    return visit(std::integral_constant<Recipe, Recipe::kStatistics>());
  return visit(std::integral_constant<Recipe, Recipe::kE2M1>());
}

// How a matrix is divided: the threads of a block, and the tiles of each.
struct Division {
  int threads, tiles;

  int elements() const { return threads * tiles * kTile; }
};

template <RotateBy kBy>
Division division(const qutlass_rotation& rotation, int64_t elements, bool find_global_scale) {
  constexpr int64_t kSmall = 1 << 20;  // elements that would leave most of a GPU without work
  constexpr int kTiles = kTilesBy<kBy>;
  if constexpr (kBy == RotateBy::kBlock) return {std::max(256, rotation.size / (kTiles * kTile)), kTiles};
  if constexpr (kSeveralSpans<kBy>) return {256, kTiles};
  if (!find_global_scale) return elements < kSmall ? Division{64, 1} : Division{256, kTiles};
  // One block, since those of a cluster begin later; else the blocks of one cluster.
  constexpr int64_t kBlock = kMostThreads * kTile;
  if (elements <= kBlock) return {block_threads(ceil_div(elements, kTile), kMostThreads), 1};
  return {kMostThreads, elements <= kTiles * kBlock || elements > kMostClusterBlocks * kBlock ? kTiles : 1};
}

// Whether launch_short_groups may be told so.
template <typename Input>
bool has_pairs(const QuantizeJob<Input>& job) {
  if constexpr (std::is_same_v<Input, DenseInput>) {
    const qutlass_tensor& x = job.in.x;
    return job.rotation.size > 64 && x.dtype == QUTLASS_BF16 && rows_are_aligned(x, job.out.cols);
  } else {
    return false;
  }
}

// The elements of an input in blocks, wherever rows begin.
template <bool kStochastic = false, typename Input>
void launch_elements(CudaStream& s, const QuantizeJob<Input>& job) {
  const int64_t elements = job.out.rows * job.out.cols;
  const bool find = job.find_global_scale && job.out.format.rule != QUTLASS_RULE_MX_ABS_MAX;
  with_recipe(job.out.format, [&](auto recipe) {
    with_input_rotation<Input>(job.rotation, [&](auto by) {
      const Division blocks = division<by()>(job.rotation, elements, find);
      const Spans spans(1, elements, blocks.elements());
      if constexpr (by() == RotateBy::kNothing || by() == RotateBy::kLanes) {
        if (blocks.tiles == 1)
          return launch_short_groups<recipe(), by(), 1, kStochastic>(s, job, spans, blocks.threads);
      }
      // A kernel of its own, since those of smaller matrices would have more instructions.
      if constexpr (!kStochastic && by() == RotateBy::kLanes && kCanPair<recipe(), by(), 2, Input>) {
        if (has_pairs(job))
          return launch_short_groups<recipe(), by(), 2, false, true>(s, job, spans, blocks.threads);
      }
      launch_short_groups<recipe(), by(), kTilesBy<by()>, kStochastic>(s, job, spans, blocks.threads);
    });
  });
}

template <bool kStochastic>
void enqueue_short_groups(CudaStream& s, const QuantizeJob<DenseInput>& job) {
  launch_elements<kStochastic>(s, job);
}

}  // namespace qutlass::cuda
