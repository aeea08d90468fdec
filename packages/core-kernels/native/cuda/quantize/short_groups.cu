// Quantization in groups of 16 to 128 elements of a row, which lie in one lane or in neighbouring ones: one
// pass over the matrix.
#include <algorithm>
#include <bit>

#include "cuda/data/divisor.h"
#include "cuda/quantize/quantize.cuh"

namespace qutlass::cuda {
namespace {

// What a kernel knows of the format when it is compiled.
enum class Recipe {
  kE2M1,        // e2m1, a scale from the largest magnitude
  kStatistics,  // e2m1, a scale from more: QuEST, four over six
  kAny,         // other elements
};

// Large Hadamard matrices take large blocks.
template <RotateBy kBy>
constexpr int kThreads = kBy == RotateBy::kBlock ? kMostThreads : 256;

// A matrix, and what kernels would compute again for every group.
struct ShortJob {
  qutlass_tensor x;
  Rotation rotation;
  qutlass_quantized out;
  Spans spans;
  unsigned span_blocks;  // more blocks clear the padding
  int64_t padding;
  int32_t bits;      // of a code
  int32_t lanes;     // of a group
  int32_t shift;     // a group has 2^shift elements
  bool byte_scales;  // 1 byte each, perhaps in blocks
  Divisor groups;    // of a row
};

template <Recipe kRecipe>
__device__ GroupScale short_scale(const ShortJob& job, const float (&x)[kTile], float global_scale) {
  qutlass_format format = job.out.format;
  const GroupRange range = lanes_range(x, job.lanes, kRecipe != Recipe::kAny || is_symmetric(format));
  if constexpr (kRecipe == Recipe::kAny) {
    return scale_from_range(format, range, global_scale);
  } else {
    format.element = QUTLASS_E2M1;  // a constant
    const float amax = range.amax();
    GroupScale scale;
    if constexpr (kRecipe == Recipe::kE2M1) {
      scale = byte_scale(format, amax, global_scale);
    } else if (format.rule == QUTLASS_RULE_MX_QUEST) {
      scale = lanes_quest(x, job.lanes, amax);
    } else {
      scale = tile_four_six(x, amax, global_scale);
    }
    return is_usable(range, global_scale) ? scale : GroupScale{kNaNScale, 0, 0};
  }
}

// Stores the scale of the group that starts at this offset.
template <Recipe kRecipe>
__device__ void store_short_scale(const ShortJob& job, int64_t offset, const GroupScale& scale) {
  const qutlass_quantized& out = job.out;
  int64_t at = offset >> job.shift;
  if constexpr (kRecipe == Recipe::kAny) {
    if (out.zero_points) static_cast<uint8_t*>(out.zero_points)[at] = static_cast<uint8_t>(scale.zero_point);
    if (!job.byte_scales) return store_dense(out.scales, out.format.scale_dtype, at, scale.scale);
  }
  if (out.scale_layout == QUTLASS_SCALES_BLOCKED_128X4) {
    const int64_t row = job.groups.quotient(at), across = job.groups.divisor();
    at = blocked_offset(row, at - row * across, across);
  }
  // The exponent of a power of two, and that of NaN, are its code.
  static_cast<uint8_t*>(out.scales)[at] = out.format.scale_dtype == QUTLASS_F8_E8M0
                                              ? static_cast<uint8_t>(__float_as_uint(scale.scale) >> 23)
                                              : E4M3::encode(scale.scale);
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

template <Recipe kRecipe, RotateBy kBy, int kTiles>
__global__ void __launch_bounds__(kThreads<kBy>, kBlocksBy<kBy>)
    short_groups_kernel(const __grid_constant__ ShortJob job) {
  const qutlass_quantized& out = job.out;
  if (blockIdx.x >= job.span_blocks) {
    const int64_t item = int64_t{blockIdx.x - job.span_blocks} * blockDim.x + threadIdx.x;
    if (item < job.padding) Padding(out).clear(static_cast<uint8_t*>(out.scales), item);
    return;
  }
  extern __shared__ uint4 shared[];
  Rotator<kBy> rotator(job.rotation, shared);
  const float global_scale = load_global_scale(out);
  const bool leads = (threadIdx.x & (job.lanes - 1)) == 0;
  for (int64_t index = blockIdx.x; index < job.spans.count(); index += job.span_blocks) {
    const Span span = job.spans.at(index);
    float x[kTiles][kTile];
    rotator.load(job.x, span, x);
    if (index + job.span_blocks < job.spans.count())
      rotator.prefetch(job.x, job.spans.at(index + job.span_blocks));
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const GroupScale scale = short_scale<kRecipe>(job, x[tile], global_scale);
      const int position = held_position<kTiles, kTile>(tile), count = span.count(position, kTile);
      if (count == 0) continue;
      const int64_t offset = span.offset(position);
      if (leads) store_short_scale<kRecipe>(job, offset, scale);
      TileCodes codes;
      if constexpr (kRecipe == Recipe::kAny) {
        encode_tile(out.format, scale, x[tile], codes);
      } else {
        encode_e2m1_tile(scale, x[tile], codes);
      }
      store_tile(out.codes, kRecipe == Recipe::kAny ? job.bits : 4, offset, count, codes);
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
    if constexpr (!kSeveralSpans<kBy>) break;
  }
}

template <Recipe kRecipe, RotateBy kBy, int kTiles>
void launch(cudaStream_t s, const QuantizeJob& quantize, int threads) {
  const qutlass_quantized& out = quantize.out;
  const Spans spans(1, out.rows * out.cols, threads * kTiles * kTile);
  const int bytes = rotation_bytes<kBy>(spans.length());
  const bool blocked = out.scale_layout == QUTLASS_SCALES_BLOCKED_128X4;
  const ShortJob job{quantize.x,
                     kernel_rotation(quantize.rotation),
                     out,
                     spans,
                     span_blocks<kBy>(spans.count(), threads),
                     blocked ? Padding(out).items() : 0,
                     element_storage_bits(out.format.element),
                     out.format.group_cols / kTile,
                     std::countr_zero(static_cast<uint32_t>(out.format.group_cols)),
                     out.format.scale_dtype == QUTLASS_F8_E8M0 || out.format.scale_dtype == QUTLASS_F8_E4M3,
                     Divisor(static_cast<uint32_t>(scale_cols(out)))};
  constexpr auto* kKernel = short_groups_kernel<kRecipe, kBy, kTiles>;
  allow_shared_memory<kKernel>(bytes);
  const auto padding_blocks = static_cast<unsigned>(ceil_div(job.padding, threads));
  kKernel<<<job.span_blocks + padding_blocks, threads, bytes, s>>>(job);
}

template <Recipe kRecipe>
void launch(cudaStream_t s, const QuantizeJob& job) {
  constexpr int64_t kSmall = 1 << 20;  // elements that would leave most of a GPU without work
  const bool small = job.out.rows * job.out.cols < kSmall;
  with_rotation(job.rotation, [&](auto constant) {
    constexpr RotateBy kBy = constant();
    if constexpr (kBy == RotateBy::kBlock) {
      launch<kRecipe, kBy, kTilesBy<kBy>>(s, job, std::max(256, job.rotation.size / (kTilesBy<kBy> * kTile)));
    } else if (kSeveralSpans<kBy> || !small) {
      launch<kRecipe, kBy, kTilesBy<kBy>>(s, job, 256);
    } else if constexpr (!kSeveralSpans<kBy>) {
      launch<kRecipe, kBy, 1>(s, job, 64);
    }
  });
}

}  // namespace

void enqueue_short_groups(cudaStream_t s, const QuantizeJob& job) {
  const qutlass_format& format = job.out.format;
  if (format.element != QUTLASS_E2M1) return launch<Recipe::kAny>(s, job);
  const bool statistics = format.rule == QUTLASS_RULE_MX_QUEST || format.rule == QUTLASS_RULE_NV_FOUR_SIX;
  return statistics ? launch<Recipe::kStatistics>(s, job) : launch<Recipe::kE2M1>(s, job);
}

}  // namespace qutlass::cuda
