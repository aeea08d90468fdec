// Products of a tile with codes of int8, as integers.
#pragma once

#include "cuda/atoms/int_to_double.cuh"
#include "cuda/atoms/mma.cuh"
#include "cuda/skinny/activations.cuh"
#include "cuda/skinny/meeting.cuh"

namespace qutlass::cuda {

// What int4 codes are added to, four at a time, so that they less their zero point are bytes from 113 to 143.
// zero: minus the zero point in units of kIntegerUnit, as bf16 in the upper half.
__device__ inline uint32_t byte_offsets(uint32_t zero) {
  // In the last bits of 1.5 * 2^23 and a small integer is that integer.
  const float sum = fmaf(__uint_as_float(zero), 1 / kIntegerUnit, 0x1.8p23f);
  return 0x80808080u + static_cast<uint32_t>(__float_as_int(sum) - 0x4B400000) * 0x01010101u;
}

// The codes of 32 columns to the operand of an integer instruction: its k is that of tile_column, but that
// every fourth of int4 is in the order of order_columns.
template <typename T>
__device__ inline void expand_integers(const uint32_t* words, const uint32_t (&offsets)[2],
                                       uint32_t (&a)[4]) {
  if constexpr (T::kCode == TileCode::kInt8) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int pair = i / 2 * 2;
      a[i] = __byte_perm(words[pair], words[pair + 1], i % 2 ? 0x7531 : 0x6420) ^ 0x80808080u;
    }
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t word = words[i / 2];
      if constexpr (T::kZeroPoints) {
        a[i] = (((i % 2 ? word >> 4 : word) & 0x0F0F0F0Fu) + offsets[i % 2]) ^ 0x80808080u;
      } else {
        a[i] = ((i % 2 ? word : word << 4) & 0xF0F0F0F0u) ^ 0x80808080u;
      }
    }
  }
}

// Eight codes of a row of A in the order of expand_integers: nibbles of int4 tiles go by columns 0, 2, 1, 3.
template <TileCode kCode>
__device__ inline void order_columns(const uint2& codes, uint32_t (&b)[2]) {
  b[0] = kCode == TileCode::kInt4 ? __byte_perm(codes.x, 0, 0x3120) : codes.x;
  b[1] = kCode == TileCode::kInt4 ? __byte_perm(codes.y, 0, 0x3120) : codes.y;
}

// Adds the products of a tile of each row block: without scales in the registers of the sums, else in those
// of a group, which are exact in int32.
template <bool kWhole, typename T, typename Shape>
__device__ inline void multiply_integer_tile(const RingStage<T, Shape>& stage,
                                             const Activations<T, Shape>& activations, int tile,
                                             Sums<T, Shape>& sums) {
  constexpr int kSpans = T::kCols / 32;  // of 32 columns
  constexpr int kGroupSpans = T::kScaledSums ? kSpans / T::kGroups : kSpans;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int32_t products[Shape::kBlocks][Shape::kTokens][4] = {};
#pragma unroll
  for (int span = 0; span < kSpans; ++span) {
    const int unit = span / (kSpans / 2), word = span % (kSpans / 2) * 2, group = span / kGroupSpans;
    uint32_t b[Shape::kTokens][2];
#pragma unroll
    for (int n = 0; n < Shape::kTokens; ++n)
      order_columns<T::kCode>(activations.template load_codes<kWhole>(n, tile, span), b[n]);
#pragma unroll
    for (int r = 0; r < Shape::kBlocks; ++r) {
      const uint4 codes = stage.codes[r][unit][lane];
      const uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
      uint32_t offsets[2] = {}, a[4];
      if constexpr (T::kZeroPoints) {
        const uint32_t pair =
            reinterpret_cast<const uint32_t*>(stage.lane_zeros(r))[span * T::kGroups / kSpans];
        offsets[0] = byte_offsets(pair << 16), offsets[1] = byte_offsets(pair & 0xFFFF0000u);
      }
      expand_integers<T>(words + word, offsets, a);
#pragma unroll
      for (int n = 0; n < Shape::kTokens; ++n) {
        if constexpr (T::kScaledSums) {
          multiply_add(products[r][n], a, b[n]);
        } else {
          multiply_add(sums.values[r][n], a, b[n]);
        }
      }
      if constexpr (T::kScaledSums) {
        if ((span + 1) % kGroupSpans != 0) continue;
        const double scales[2] = {tile_scale<T::kScale>(stage.lane_scales(r), 2 * group),
                                  tile_scale<T::kScale>(stage.lane_scales(r), 2 * group + 1)};
#pragma unroll
        for (int n = 0; n < Shape::kTokens; ++n) {
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            double& sum = sums.values[r][n][j];
            sum = fma(int_to_double(products[r][n][j]), scales[j / 2], sum);
            products[r][n][j] = 0;
          }
        }
      }
    }
  }
}

}  // namespace qutlass::cuda
