// Rotation and cache of one new token by the kernel that attends to it, to the same bytes as rope_append: its
// cosines are worked out while the rows that lie in the cache are on their way, and its own row is in
// registers.
#pragma once

#include "attention_token.cuh"

namespace qutlass::cuda {

// Cosine and sine for each pair of columns, i and i + Width / 2.
template <int Width>
struct Turns {
  float2 of_pair[Width / 2];

  // For all threads of a block.
  __device__ void fill(const AttentionProblem& p, int threads) {
    const auto position = static_cast<float>(p.positions[0]);
    for (int pair = static_cast<int>(threadIdx.x); pair < Width / 2; pair += threads)
      sincosf(position * p.inv_freq[pair], &of_pair[pair].y, &of_pair[pair].x);
  }
  // A row of bf16 that four lanes hold, columns 32 c + 8 t at [c].
  __device__ void turn(uint4 (&row)[Width / 32], Lane lane) const {
    constexpr int kHalf = Width / 64;
#pragma unroll
    for (int c = 0; c < kHalf; ++c) {
      __nv_bfloat16 first[kVector], second[kVector];
      memcpy(first, &row[c], sizeof first);
      memcpy(second, &row[c + kHalf], sizeof second);
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const float2 by = of_pair[32 * c + 8 * lane.t + i];
        const float x = to_float(first[i]), y = to_float(second[i]);
        first[i] = __float2bfloat16_rn(x * by.x - y * by.y);
        second[i] = __float2bfloat16_rn(y * by.x + x * by.y);
      }
      memcpy(&row[c], first, sizeof first);
      memcpy(&row[c + kHalf], second, sizeof second);
    }
  }
};

// Its row of a head of the cache, to every lane of a warp as far as a tile has it there.
template <int Width>
struct NewRow {
  uint4 keys[Width / 32];    // columns 32 c + 8 t
  uint4 values[Width / 64];  // columns 64 e + 8 g

  __device__ void read(const AttentionProblem& p, int kv_head, Lane lane) {
    const int64_t from = kv_head * (Width / kVector);
#pragma unroll
    for (int c = 0; c < Width / 32; ++c) keys[c] = static_cast<const uint4*>(p.k.data)[from + 4 * c + lane.t];
#pragma unroll
    for (int e = 0; e < Width / 64; ++e)
      values[e] = static_cast<const uint4*>(p.v.data)[from + 8 * e + lane.g];
  }
  // To the caches, and the keys, which are rotated by now, to where they came from.
  __device__ void write(const AttentionProblem& p, int kv_head, int row, Lane lane) const {
    const int64_t from = kv_head * (Width / kVector), to = cache_offset(p, row, kv_head) / kVector;
#pragma unroll
    for (int c = 0; c < Width / 32; ++c) {
      if (lane.g != 0) continue;
      static_cast<uint4*>(p.k.data)[from + 4 * c + lane.t] = keys[c];
      static_cast<uint4*>(p.k_cache.data)[to + 4 * c + lane.t] = keys[c];
    }
#pragma unroll
    for (int e = 0; e < Width / 64; ++e)
      if (lane.t == 0) static_cast<uint4*>(p.v_cache.data)[to + 8 * e + lane.g] = values[e];
  }
  // Puts it into a tile of rows that are all before it.
  __device__ void put(Tile<Width>& tile, int row, Lane lane) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int c = 0; c < Width / 32; ++c)
        if (lane.g + 8 * i == row) tile.keys[c][i] = keys[c];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int e = 0; e < Width / 64; ++e)
        if (2 * lane.t + i % 2 + i / 2 * 8 == row) tile.values[e][i] = values[e];
    }
  }
};

}  // namespace qutlass::cuda
