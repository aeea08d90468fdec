// Attention of one token over a bf16 cache, as in decoding: the time is that of reading the cache. Tensor
// cores take keys as they lie in memory, and values after one exchange of halves between two rows; each warp
// goes through tiles of 16 cache rows on its own.
#include "attention.cuh"
#include "attention_meeting.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/atoms/mma.cuh"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
// Query heads of a block: the columns of a matrix instruction.
constexpr int kQueries = 8;
constexpr int kTileRows = 16;
constexpr int kStep = kWarps * kTileRows;
constexpr int kResident = 3;

// In a fragment, lane (g, t) has rows g and g + 8 of one operand, and columns that t tells.
struct Lane {
  int g, t;
  __device__ Lane() : g(static_cast<int>(threadIdx.x) % 32 / 4), t(static_cast<int>(threadIdx.x) % 4) {}
};

// 8 columns of a row of the cache, zeros behind its end: a weight of 0 does not cancel a NaN.
__device__ inline uint4 read_row(const Dense& cache, const AttentionProblem& p, int row, int end, int kv_head,
                                 int column) {
  if (row >= end) return {};
  const auto* data = static_cast<const __nv_bfloat16*>(cache.data);
  return *reinterpret_cast<const uint4*>(data + cache_offset(p, row, kv_head) + column);
}

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
      if (row >= rows_of_kv_head(p)) continue;
      const int64_t offset = head_index(p, row, kv_head) * Width + 32 * c + 8 * lane.t;
      words[c] = *reinterpret_cast<const uint4*>(data + offset);
    }
  }
};

template <int Width>
struct Tile {
  uint4 keys[Width / 32][2];    // columns 32 c + 8 t of rows g and g + 8
  uint4 values[Width / 64][4];  // columns 64 e + 8 g of rows 2t, 2t + 1, 2t + 8, 2t + 9

  __device__ void read(const AttentionProblem& p, int first, int end, int kv_head, Lane lane) {
#pragma unroll
    for (int c = 0; c < Width / 32; ++c) {
#pragma unroll
      for (int i = 0; i < 2; ++i)
        keys[c][i] = read_row(p.k_cache, p, first + lane.g + 8 * i, end, kv_head, 32 * c + 8 * lane.t);
    }
#pragma unroll
    for (int e = 0; e < Width / 64; ++e) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = first + 2 * lane.t + i % 2 + i / 2 * 8;
        values[e][i] = read_row(p.v_cache, p, row, end, kv_head, 64 * e + 8 * lane.g);
      }
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

// Adds a tile, of which rows below `end` are seen.
template <int Width>
__device__ void gather(Gathered<Width>& gathered, const Tile<Width>& tile, const Queries<Width>& queries,
                       float scale, int first, int end, Lane lane) {
  float scores[4] = {};
  tile.scores(queries, scores);
  const bool seen[2] = {first + lane.g < end, first + lane.g + 8 < end};
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

// Grid: blocks of kQueries query heads, kv heads, splits.
template <int Width>
__global__ void __launch_bounds__(kThreads, kResident)
    token_kernel(const __grid_constant__ AttentionProblem p) {
  __shared__ Meeting<kWarps, kQueries, Width, Width + 1> meeting;
  const Lane lane;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int kv_head = static_cast<int>(blockIdx.y), split = static_cast<int>(blockIdx.z);
  const int first_row = static_cast<int>(blockIdx.x) * kQueries;
  await_dependency();

  Queries<Width> queries;
  queries.read(p, first_row, kv_head, lane);
  const CacheRange range = split_range(visible_rows(p, 0), split, p.splits, kStep);
  Gathered<Width> gathered;
  for (int first = range.begin + warp * kTileRows; first < range.end; first += kStep) {
    Tile<Width> tile;
    tile.read(p, first, range.end, kv_head, lane);
    gather(gathered, tile, queries, p.scale, first, range.end, lane);
  }

#pragma unroll
  for (int q = 0; q < 2; ++q) {
    float weight = gathered.weight[q];
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2)
      weight += __shfl_xor_sync(0xFFFFFFFFu, weight, distance);
    gathered.weight[q] = weight;
    if (lane.g == 0) meeting.largest[2 * lane.t + q][warp] = gathered.largest[q];
  }
  if (threadIdx.x < kQueries) meeting.seen[threadIdx.x] = range.begin < range.end;
  __syncthreads();
#pragma unroll
  for (int q = 0; q < 2; ++q) {
    const int row = 2 * lane.t + q;
    const float factor = meeting.factor(row, warp);
    if (lane.g == 0) meeting.weights[row][warp] = gathered.weight[q] * factor;
#pragma unroll
    for (int i = 0; i < Width / 16; ++i) {
      const int column = i / 4 * 64 + lane.g * 8 + i % 4 * 2;
      meeting.sums[warp][row][column] = gathered.sums[i][q] * factor;
      meeting.sums[warp][row][column + 1] = gathered.sums[i][2 + q] * factor;
    }
  }
  __syncthreads();
  meeting.write(p, first_row, kv_head, split, kThreads);
}

int row_blocks(const AttentionProblem& p) { return (rows_of_kv_head(p) + kQueries - 1) / kQueries; }

}  // namespace

bool is_token_attention(const AttentionProblem& p) {
  const bool bf16 =
      p.q.dtype == QUTLASS_BF16 && p.k_cache.dtype == QUTLASS_BF16 && p.v_cache.dtype == QUTLASS_BF16;
  return p.tokens == 1 && bf16 && p.q_vectors && p.k_vectors && p.v_vectors &&
         (p.head_dim == 64 || p.head_dim == 128);
}

void plan_token_attention(AttentionProblem& p, int multiprocessors) {
  choose_splits(p, int64_t{row_blocks(p)} * p.kv_heads, int64_t{multiprocessors} * kResident, kStep);
}

void launch_token_attention(const AttentionProblem& p, const cudaDeviceProp& device, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(row_blocks(p)), static_cast<unsigned>(p.kv_heads),
                  static_cast<unsigned>(p.splits));
  launch_dependent(stream, device, p.head_dim == 64 ? token_kernel<64> : token_kernel<128>, {grid, kThreads},
                   p);
}

}  // namespace qutlass::cuda
