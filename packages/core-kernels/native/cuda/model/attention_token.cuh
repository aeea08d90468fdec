// What a warp of the attention of one token does with a tile of 16 cache rows: reads it, multiplies keys with
// queries on tensor cores, and adds the values with what became of that.
#pragma once

#include "attention.cuh"
#include "cuda/atoms/mma.cuh"

namespace qutlass::cuda {

// In a fragment, lane (g, t) has rows g and g + 8 of one operand, and columns that t tells.
struct Lane {
  int g, t;
  __device__ Lane() : g(static_cast<int>(threadIdx.x) % 32 / 4), t(static_cast<int>(threadIdx.x) % 4) {}
};

__device__ inline uint32_t word(const uint4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

// What a warp has gathered for queries 2t and 2t + 1; sums of columns 64 e + 8 g + 2 w and the next at [4 e +
// w].
template <int Width>
struct Gathered {
  float largest[2] = {-INFINITY, -INFINITY};
  float weight[2] = {};  // of the cache rows of this lane
  float sums[Width / 16][4] = {};
};

template <int Width>
struct Queries {
  uint4 words[Width / 32];

  // Of query g, zeros where there is none.
  __device__ void read(const AttentionProblem& p, int first_row, int kv_head, Lane lane) {
    const int row = first_row + lane.g;
    const auto* data = static_cast<const __nv_bfloat16*>(p.q.data);
#pragma unroll
    for (int c = 0; c < Width / 32; ++c) {
      words[c] = {};
      if (row >= p.group) continue;
      const int64_t offset = int64_t{kv_head * p.group + row} * Width + 32 * c + 8 * lane.t;
      words[c] = *reinterpret_cast<const uint4*>(data + offset);
    }
  }
  // Back, of the first row block.
  __device__ void write(const AttentionProblem& p, int kv_head, Lane lane) const {
#pragma unroll
    for (int c = 0; c < Width / 32; ++c) {
      if (lane.g >= p.group) continue;
      const int64_t offset = int64_t{kv_head * p.group + lane.g} * Width + 32 * c + 8 * lane.t;
      *reinterpret_cast<uint4*>(static_cast<__nv_bfloat16*>(p.q.data) + offset) = words[c];
    }
  }
};

// Where a lane reads the tiles of its warp. All of it is known before the position is.
template <int Width>
struct TileSource {
  const uint4 *keys, *values;  // columns 8 t of row g, and 8 g of row 2t
  int row;                     // vectors from one cache row to the next

  __device__ TileSource(const AttentionProblem& p, int first, int kv_head, Lane lane)
      : row(p.kv_heads * (Width / kVector)) {
    const int64_t column = kv_head * (Width / kVector);
    keys = static_cast<const uint4*>(p.k_cache.data) + int64_t{first + lane.g} * row + column + lane.t;
    values = static_cast<const uint4*>(p.v_cache.data) + int64_t{first + 2 * lane.t} * row + column + lane.g;
  }
  __device__ void skip(int rows) {
    keys += int64_t{rows} * row;
    values += int64_t{rows} * row;
  }
};

template <int Width>
struct Tile {
  uint4 keys[Width / 32][2];    // columns 32 c + 8 t of rows g and g + 8
  uint4 values[Width / 64][4];  // columns 64 e + 8 g of rows 2t, 2t + 1, 2t + 8, 2t + 9

  // Zeros for rows from `seen` on: a weight of 0 does not cancel a NaN.
  __device__ void read(const TileSource<Width>& source, int seen, Lane lane) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint4* const from = source.keys + i * 8 * source.row;
#pragma unroll
      for (int c = 0; c < Width / 32; ++c) keys[c][i] = lane.g + 8 * i < seen ? from[4 * c] : uint4{};
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = i % 2 + i / 2 * 8;
      const uint4* const from = source.values + row * source.row;
#pragma unroll
      for (int e = 0; e < Width / 64; ++e) values[e][i] = 2 * lane.t + row < seen ? from[8 * e] : uint4{};
    }
  }

  // Products of rows g and g + 8 with queries 2t and 2t + 1: [row][query]. Columns may come in any order that
  // is that of the queries.
  __device__ void scores(const Queries<Width>& queries, float (&sums)[4]) const {
#pragma unroll
    for (int c = 0; c < Width / 32; ++c) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int w = 2 * half;
        const uint32_t a[4] = {word(keys[c][0], w), word(keys[c][1], w), word(keys[c][0], w + 1),
                               word(keys[c][1], w + 1)};
        const uint32_t b[2] = {word(queries.words[c], w), word(queries.words[c], w + 1)};
        multiply_add(sums, a, b);
      }
    }
  }

  // Adds the values with weights, which are two operands: what bf16 has of them, and the rest.
  __device__ void add(const uint32_t (&high)[2], const uint32_t (&low)[2],
                      float (&sums)[Width / 16][4]) const {
#pragma unroll
    for (int e = 0; e < Width / 64; ++e) {
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        const uint32_t words[4] = {word(values[e][0], w), word(values[e][1], w), word(values[e][2], w),
                                   word(values[e][3], w)};
        const uint32_t a[4] = {
            __byte_perm(words[0], words[1], 0x5410), __byte_perm(words[0], words[1], 0x7632),
            __byte_perm(words[2], words[3], 0x5410), __byte_perm(words[2], words[3], 0x7632)};
        multiply_add(sums[4 * e + w], a, high);
        multiply_add(sums[4 * e + w], a, low);
      }
    }
  }
};

// The two operands of a pair of weights of one cache row.
__device__ inline void split_weights(float first, float second, uint32_t& high, uint32_t& low) {
  const uint32_t bits[2] = {__float_as_uint(first), __float_as_uint(second)};
  high = __byte_perm(bits[0], bits[1], 0x7632);
  // Cut off, so that the rest has the sign of the weight, and never 0: an infinite value stays one.
  constexpr float kTiny = 1e-30f;
  const __nv_bfloat162 rest = __floats2bfloat162_rn(first - __uint_as_float(bits[0] & 0xFFFF0000u) + kTiny,
                                                    second - __uint_as_float(bits[1] & 0xFFFF0000u) + kTiny);
  memcpy(&low, &rest, sizeof low);
}

// Adds a tile, of which so many rows are seen.
template <int Width>
__device__ void gather(Gathered<Width>& gathered, const Tile<Width>& tile, const Queries<Width>& queries,
                       float scale, int rows, Lane lane) {
  float scores[4] = {};
  tile.scores(queries, scores);
  const bool seen[2] = {lane.g < rows, lane.g + 8 < rows};
  float factors[2];
#pragma unroll
  for (int q = 0; q < 2; ++q) {
    float largest = gathered.largest[q];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      scores[2 * i + q] *= scale;
      if (seen[i]) largest = fmaxf(largest, scores[2 * i + q]);
    }
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2)
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, distance));
    const float shift = score_shift(largest);
    factors[q] = expf(gathered.largest[q] - shift);
    gathered.largest[q] = largest;
    gathered.weight[q] *= factors[q];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      scores[2 * i + q] = seen[i] ? expf(scores[2 * i + q] - shift) : 0.0f;
      gathered.weight[q] += scores[2 * i + q];
    }
  }
#pragma unroll
  for (auto& sums : gathered.sums) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] *= factors[i % 2];
  }
  uint32_t high[2], low[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    split_weights(scores[2 * i], scores[2 * i + 1], high[i], low[i]);
    high[i] = transpose_matrix(high[i]);
    low[i] = transpose_matrix(low[i]);
  }
  tile.add(high, low, gathered.sums);
}

}  // namespace qutlass::cuda
