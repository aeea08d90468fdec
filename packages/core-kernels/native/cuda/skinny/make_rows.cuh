// Rows as the kernels of this folder multiply them, made of what A is.
#pragma once

#include "cuda/gemm/kernels.h"
#include "cuda/gemm/loader.cuh"
#include "cuda/gemm/quantize_a.cuh"
#include "cuda/quantize/hadamard_mma.cuh"
#include "cuda/skinny/row_source.cuh"

namespace qutlass::cuda {

// Rows of A that are quantized on the way (is_quantized_by_blocks).
inline constexpr int kMostMade = kGemvMaxM;

// Where rows go: for each of A one or two of bf16 that have it as their sum, or one of int8 codes.
struct MadeRows {
  uint8_t* data;
  int pitch;        // bytes from one to the next
  int parts, cols;  // zeros beyond the columns of A; a multiple of 8, of codes of 16
  float* factors;   // of rows of A, if they have any

  __device__ uint8_t* at(int row) const { return data + static_cast<int64_t>(row) * parts * pitch; }

  // kCount neighbours, a multiple of 8, as so many parts.
  template <int kParts, int kCount>
  __device__ void store(int row, int col, const float (&values)[kCount]) const {
#pragma unroll
    for (int first = 0; first < kCount; first += 8) {
      if (col + first >= cols) return;
      float eight[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) eight[i] = values[first + i];
      store_bf16<kParts>(eight, at(row) + (col + first) * 2, pitch);
    }
  }
};

// Tiles of a dense A whose rows are whole tiles at multiples of 16 bytes.
class WholeRows {
 public:
  __device__ explicit WholeRows(const RowSource& source) : a_(source.a) {}

  __device__ int rows() const { return a_.rows; }
  __device__ int cols() const { return a_.cols; }
  __device__ void load(int row, int col, float (&x)[kTile]) const {
    const uint8_t* from = a_.data + row * a_.row_bytes + int64_t{col} * (a_.kind == Kind::kF32 ? 4 : 2);
    const bool is_there = col < a_.cols;
    if (a_.kind == Kind::kF32) {
#pragma unroll
      for (int i = 0; i < kTile; i += 4) {
        const float4 four = is_there ? reinterpret_cast<const float4*>(from)[i / 4] : float4{};
        x[i] = four.x, x[i + 1] = four.y, x[i + 2] = four.z, x[i + 3] = four.w;
      }
    } else {
      TileWords words;
      load_words(reinterpret_cast<const uint16_t*>(from), is_there, words);
#pragma unroll
      for (int i = 0; i < kTile; ++i) {
        const auto bits = static_cast<uint16_t>(word_of(words, i / 2) >> (16 * (i % 2)));
        x[i] = a_.kind == Kind::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
      }
    }
  }

 private:
  const Operand& a_;
};

// Those of any.
class AnyRows : public DenseRows {
 public:
  __device__ explicit AnyRows(const RowSource& source) : DenseRows(source.a) {}
};

// The same, rotated.
template <typename Rows>
class RotatedRows : public Rows {
 public:
  __device__ explicit RotatedRows(const RowSource& source) : Rows(source), rotation_(source.rotation) {}

  __device__ void load(int row, int col, float (&x)[kTile]) const {
    Rows::load(row, col, x);
    if (rotation_.size == 0) return;
    TileWords words[1];
    make_words([&](int i) { return round_pair(x[2 * i], x[2 * i + 1]); }, words[0]);
    if (rotation_.data) TileSigns(rotation_, col).apply(words[0]);
    float rotated[1][kTile];
    rotate_tiles(words, rotation_.size, rotation_.entry, rotated);
#pragma unroll
    for (int i = 0; i < kTile; ++i) x[i] = rotated[0][i];
  }

 private:
  const Rotation& rotation_;
};

// A thread's part of the rows: what is at `first`, at `first + step` and so on.
struct RowShare {
  int first, step;

  // Calls body(row, col) for the pieces of `columns` columns; for all threads of a warp the same number of
  // times, with a row past the last where there is nothing.
  template <typename Body>
  __device__ void for_each(int rows, int cols, int columns, const Body& body) const {
    const int pieces = (cols + columns - 1) / columns, lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll 1
    for (int begin = first - lane; begin < rows * pieces; begin += step) {
      const int row = (begin + lane) / pieces;
      body(row, (begin + lane - row * pieces) * columns);
    }
  }
};

// How rows are made, as constants: how a dense A is loaded, and the kinds of codes that it is quantized to or
// comes in. kCodes: rows are int8 codes.
template <typename Rows, bool kCodes, Kind... kKinds>
struct MakeRows {
  // Blocks of products leave to others what takes much code.
  static constexpr bool kBlocks = std::is_same_v<Rows, WholeRows>;

  // This thread's share of the rows; returns the global scale of A, to each. For all threads of a block
  // together.
  template <int kWarps>
  __device__ static float make(const RowSource& source, const MadeRows& to, const RowShare& share,
                               SharedScales<kMostMade, kWarps>& scales) {
    const Operand& a = source.a;
    if (is_dense(a.kind)) {
      const RotatedRows<Rows> rows(source);
      const AQuantizer<RotatedRows<Rows>, kMostMade, kWarps, kKinds...> quantizer(rows, source.format,
                                                                                  source.codes, scales);
      share.for_each(a.rows, to.cols, kTile, [&](int row, int col) {
        const bool is_there = row < a.rows;
        row = min(row, a.rows - 1);
        float values[kTile];
        rows.load(row, col, values);
        if constexpr (kCodes) {
          quantizer.encode(row, values, [&](auto, const TileCodes& codes, const GroupScale&) {
            if (is_there) {
              *reinterpret_cast<uint4*>(to.at(row) + col) =
                  make_uint4(codes[0], codes[1], codes[2], codes[3]);
            }
          });
        } else {
          if (!is_dense(source.codes)) quantizer.quantize(row, col, !source.has_row_factors, values);
          if (is_there) store(to, row, col, values);
        }
        if (source.has_row_factors && is_there && col == 0) to.factors[row] = quantizer.row_scale(row);
      });
      return is_dense(source.codes) ? 1.0f : quantizer.global_scale();
    }
    if constexpr (kCodes) return 1;
    with_kind_of<kKinds...>(a.kind, [&](auto kind) {
      constexpr Kind kKind = decltype(kind)::value;
      share.for_each(a.rows, to.cols, kUnitElements<kKind>, [&](int row, int col) {
        if (row < a.rows) store_unit<kKind>(source, to, row, col);
      });
    });
    return a.global_scale ? *a.global_scale : 1.0f;
  }

 private:
  template <int kCount>
  __device__ static void store(const MadeRows& to, int row, int col, const float (&values)[kCount]) {
    to.parts == 1 ? to.store<1>(row, col, values) : to.store<2>(row, col, values);
  }

  template <Kind kKind>
  __device__ static void store_unit(const RowSource& source, const MadeRows& to, int row, int col) {
    constexpr int kCount = std::min(kUnitElements<kKind>, kTile);  // no group has fewer
    const Operand& a = source.a;
    const Unit unit = load_unit<bits_of(kKind)>(a, row, col);
#pragma unroll
    for (int first = 0; first < kUnitElements<kKind>; first += kCount) {
      const int begin = col + first, group = group_at(a, begin);
      float scale = decode_scale(a, load_scale_bits(a, row, group)), offset = 0;
      if (source.has_row_factors) {
        if (begin == 0) to.factors[row] = scale;
        scale = 1;
      }
      if constexpr (is_integer(kKind))
        offset = integer_offset<kKind>(a.zero_points ? load_zero_point(a, row, group) : 0);
      float values[kCount];
#pragma unroll
      for (int i = 0; i < kCount; ++i)
        values[i] = begin + i >= a.cols ? 0.0f : decode<kKind>(unit, first + i, offset) * scale;
      if constexpr (kBlocks) {
        to.store<1>(row, begin, values);
      } else {
        store(to, row, begin, values);
      }
    }
  }
};

}  // namespace qutlass::cuda
