// A few rows of a dense A to codes and on to their values, by every block that multiplies them: as the
// quantizers would, without a launch before the product and without memory between the two.
#pragma once

#include "cuda/gemm/decode.cuh"
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

// Tiles of a dense A, zeros beyond its ends. For all lanes of a warp together, which are at neighbouring
// tiles.
class DenseRows {
 public:
  __device__ explicit DenseRows(const Operand& a) : a_(a) {}

  __device__ int rows() const { return a_.rows; }
  __device__ int cols() const { return a_.cols; }
  __device__ void load(int row, int col, float (&x)[kTile]) const {
    const int32_t dtype = a_.kind == Kind::kF32    ? QUTLASS_F32
                          : a_.kind == Kind::kBF16 ? QUTLASS_BF16
                                                   : QUTLASS_F16;
#pragma unroll
    for (int half = 0; half < kTile; half += kChunk) {
      const int count = row < a_.rows ? min(kChunk, max(0, a_.cols - col - half)) : 0;
      float chunk[kChunk];
      load_chunk(a_.data, dtype, int64_t{row} * a_.cols + col + half, count, chunk);
#pragma unroll
      for (int i = 0; i < kChunk; ++i) x[half + i] = chunk[i];
    }
  }

 private:
  const Operand& a_;
};

// kKinds: of codes that it is compiled for.
template <typename Rows, int kM, int kWarps, Kind... kKinds>
class AQuantizer {
  static constexpr int kThreads = kWarps * 32;

 public:
  // For all threads of a block together. format: of the codes, which are of a kind; of a dense one there are
  // none.
  __device__ AQuantizer(const Rows& rows, const qutlass_format& format, Kind codes,
                        SharedScales<kM, kWarps>& scales)
      : rows_(rows), format_(format), codes_(codes), scales_(scales) {
    const bool global = format.rule == QUTLASS_RULE_NV;
    if (is_dense(codes) || (!global && format.group_cols != 0)) return;
    find_ranges(global);
    const int row = static_cast<int>(threadIdx.x);
    if (row < (global ? 1 : count())) {
      const bool whole = global || format.group_rows == 0;
      const GroupRange range = range_of_rows(whole ? 0 : row, whole ? count() : row + 1);
      if (global) {
        scales.global = nv_global_scale(format.rule, range.amax());
      } else {
        scales.rows[row] = scale_from_range(format, range, global_scale());
      }
    }
    __syncthreads();
  }

  __device__ float global_scale() const {
    switch (format_.rule) {
      case QUTLASS_RULE_NV: return scales_.global;
      case QUTLASS_RULE_MX_ABS_MAX: return kMxAbsMax;
      default: return 1;
    }
  }
  // Where rows are groups or parts of one.
  __device__ float row_scale(int row) const { return scales_.rows[row].scale; }

  // Calls body(kind, codes, scale) with the codes of 16 elements of a row, which change. For all lanes of a
  // warp together.
  template <typename Body>
  __device__ void encode(int row, float (&x)[kTile], const Body& body) const {
    const GroupScale scale =
        format_.group_cols == 0
            ? scales_.rows[row]
            : scale_from_range(format_, lanes_range(x, format_.group_cols / kTile, is_symmetric(format_)),
                               global_scale());
    with_kind_of<kKinds...>(codes_, [&](auto kind) {
      qutlass_format known = format_;
      known.element = element_of(decltype(kind)::value);
      TileCodes codes = {};
      encode_tile(known, scale, x, codes);
      body(kind, codes, scale);
    });
  }

  // In place of the elements from column `col` on what their codes stand for, before the division by the
  // global scale or without any scale.
  __device__ void quantize(int row, int col, bool scaled, float (&values)[kTile]) const {
    encode(row, values, [&](auto kind, const TileCodes& codes, const GroupScale& scale) {
      constexpr Kind kKind = decltype(kind)::value;
      const Unit unit{{codes[0], codes[1], codes[2], codes[3]}};
      const float offset = is_integer(kKind) ? integer_offset<kKind>(scale.zero_point) : 0;
      const float factor = scaled ? scale.scale : 1;
#pragma unroll
      for (int i = 0; i < kTile; ++i)
        values[i] = col + i >= rows_.cols() ? 0.0f : decode<kKind>(unit, i, offset) * factor;
    });
  }

 private:
  __device__ int count() const { return min(kM, rows_.rows()); }

  __device__ void find_ranges(bool finite_only) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll 1
    for (int row = 0; row < count(); ++row) {
      GroupRange range;
#pragma unroll 1
      for (int first = warp * 32 * kTile; first < rows_.cols(); first += kThreads * kTile) {
        float x[kTile];
        rows_.load(row, first + lane * kTile, x);
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

  const Rows& rows_;
  const qutlass_format& format_;
  const Kind codes_;
  SharedScales<kM, kWarps>& scales_;
};

}  // namespace qutlass::cuda
