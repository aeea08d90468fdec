// A few rows of a dense A to codes and on to their values, by every block that multiplies them: as the
// quantizers would, without a launch before the product and without memory between the two.
#pragma once

#include "cuda/gemm/decode.cuh"
#include "cuda/gemm/problem.cuh"
#include "cuda/quantize/encode.cuh"
#include "cuda/quantize/group.cuh"

namespace qutlass::cuda {

// What elements of several threads have in common: scales of rows, which are groups or parts of the only one,
// and the global scale.
template <int kM, int kWarps>
struct SharedScales {
  int32_t highest[kM][kWarps];  // of GroupRange
  uint32_t lowest[kM][kWarps];
  GroupScale rows[kM];
  float global;
};

template <int kM, int kWarps>
class AQuantizer {
  static constexpr int kThreads = kWarps * 32;

 public:
  // For all threads of a block together.
  __device__ AQuantizer(const Problem& problem, SharedScales<kM, kWarps>& scales)
      : problem_(problem), scales_(scales) {
    const qutlass_format& format = problem.a_format;
    if (format.rule == QUTLASS_RULE_NV) {
      find_ranges(true);
      if (threadIdx.x == 0) scales.global = nv_global_scale(format.rule, range_of_rows(0, kM).amax());
      __syncthreads();
    } else if (format.group_cols == 0) {
      find_ranges(false);
      const int row = static_cast<int>(threadIdx.x);
      if (row < kM) {
        const bool whole = format.group_rows == 0;
        scales.rows[row] =
            scale_from_range(format, range_of_rows(whole ? 0 : row, whole ? kM : row + 1), global_scale());
      }
      __syncthreads();
    }
  }

  __device__ float global_scale() const {
    switch (problem_.a_format.rule) {
      case QUTLASS_RULE_NV: return scales_.global;
      case QUTLASS_RULE_MX_ABS_MAX: return kMxAbsMax;
      default: return 1;
    }
  }
  // Where rows are groups or parts of one.
  __device__ float row_scale(int row) const { return scales_.rows[row].scale; }

  // What the codes of 16 elements of a row stand for, before the division by the global scale or without any
  // scale. For all lanes of a warp together, which are at neighbouring tiles.
  template <bool kScaled>
  __device__ void values(int row, int col, float (&values)[kTile]) const {
    const qutlass_format& format = problem_.a_format;
    float x[kTile];
    load(row, col, x);
    const GroupScale scale =
        format.group_cols == 0
            ? scales_.rows[row]
            : scale_from_range(format, lanes_range(x, format.group_cols / kTile, is_symmetric(format)),
                               global_scale());
    TileCodes codes;
    encode_tile(format, scale, x, codes);
    const Unit unit{{codes[0], codes[1], codes[2], codes[3]}};
    with_kind(problem_.a_codes, [&](auto kind) {
      constexpr Kind kKind = decltype(kind)::value;
      if constexpr (!is_dense(kKind)) {
        const float offset = is_integer(kKind) ? integer_offset<kKind>(scale.zero_point) : 0;
#pragma unroll
        for (int i = 0; i < kTile; ++i) {
          const float code = decode<kKind>(unit, i, offset);
          values[i] = col + i >= problem_.k ? 0.0f : kScaled ? code * scale.scale : code;
        }
      }
    });
  }

 private:
  // Zeros beyond the ends of A.
  __device__ void load(int row, int col, float (&x)[kTile]) const {
    const Operand& a = problem_.a;
    const int32_t dtype = a.kind == Kind::kF32    ? QUTLASS_F32
                          : a.kind == Kind::kBF16 ? QUTLASS_BF16
                                                  : QUTLASS_F16;
#pragma unroll
    for (int half = 0; half < kTile; half += kChunk) {
      const int count = row < a.rows ? min(kChunk, max(0, a.cols - col - half)) : 0;
      float chunk[kChunk];
      load_chunk(a.data, dtype, int64_t{row} * a.cols + col + half, count, chunk);
#pragma unroll
      for (int i = 0; i < kChunk; ++i) x[half + i] = chunk[i];
    }
  }

  __device__ void find_ranges(bool finite_only) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll 1
    for (int row = 0; row < kM; ++row) {
      GroupRange range;
      for (int col = static_cast<int>(threadIdx.x) * kTile; col < problem_.k; col += kThreads * kTile) {
        float x[kTile];
        load(row, col, x);
#pragma unroll
        for (int i = 0; i < kTile; ++i) range.add(finite_only && !(fabsf(x[i]) <= FLT_MAX) ? 0 : x[i]);
      }
      range.highest = __reduce_max_sync(0xFFFFFFFFu, range.highest);
      range.lowest = __reduce_max_sync(0xFFFFFFFFu, range.lowest);
      if (lane != 0) continue;
      scales_.highest[row][warp] = range.highest;
      scales_.lowest[row][warp] = range.lowest;
    }
    __syncthreads();
  }

  __device__ GroupRange range_of_rows(int begin, int end) const {
    GroupRange range;
    for (int row = begin; row < end; ++row)
      for (int warp = 0; warp < kWarps; ++warp)
        range.add(GroupRange{scales_.highest[row][warp], scales_.lowest[row][warp]});
    return range;
  }

  const Problem& problem_;
  SharedScales<kM, kWarps>& scales_;
};

}  // namespace qutlass::cuda
