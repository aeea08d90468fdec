// Attention of one token over a bf16 cache, as in decoding: the time is that of reading the cache. Tensor
// cores take keys as they lie in memory, and values after one exchange of halves between two rows; each warp
// goes through tiles of 16 cache rows on its own. Splits take steps of the cache in turn, so that addresses
// follow from the position without a division; where there are clusters, the splits of a head are one.
#include <algorithm>
#include <type_traits>

#include "attention.cuh"
#include "attention_meeting.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/atoms/mma.cuh"
#include "kernel_limits.h"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
// Query heads of a block: the columns of a matrix instruction.
constexpr int kQueries = 8;
constexpr int kTileRows = 16;
constexpr int kStep = kWarps * kTileRows;
constexpr int kResident = 2;
// Splits of a cluster at most: more than every GPU with clusters must have, so that the driver is asked.
constexpr int kMaxCluster = 16;
// Steps of such a split for the whole cache at most, where blocks do not fill the device: with more, splits
// that are not in a cluster read faster than they meet.
constexpr int kMaxClusterSteps = 16;

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

// Grid: splits, kv heads, blocks of kQueries query heads. kCluster: the splits are a cluster.
template <int Width, bool kCluster>
__global__ void __launch_bounds__(kThreads, kResident)
    token_kernel(const __grid_constant__ AttentionProblem p) {
  using OfSplits = SplitsMeeting<kQueries, Width, kMaxCluster>;
  __shared__ Meeting<kWarps, kQueries, Width, Width + 1> meeting;
  __shared__ std::conditional_t<kCluster, typename OfSplits::Shared, char> of_splits;
  const Lane lane;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int split = static_cast<int>(blockIdx.x), kv_head = static_cast<int>(blockIdx.y);
  const int first_row = static_cast<int>(blockIdx.z) * kQueries;
  const int stride = p.splits * kStep;
  int first = (split * kWarps + warp) * kTileRows;
  TileSource<Width> source(p, first, kv_head, lane);
  if constexpr (kCluster) arrive_at_cluster();
  await_dependency();

  Queries<Width> queries;
  queries.read(p, first_row, kv_head, lane);
  const int end = visible_rows(p, 0);
  Gathered<Width> gathered;
  Tile<Width> next;
  next.read(source, end - first, lane);
  for (; first < end; first += stride) {
    const Tile<Width> tile = next;
    source.skip(stride);
    next.read(source, end - first - stride, lane);
    gather(gathered, tile, queries, p.scale, end - first, lane);
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
  if (threadIdx.x < kQueries) meeting.seen[threadIdx.x] = split * kStep < end;
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
  if constexpr (kCluster) {
    const OfSplits splits(min(kQueries, p.group - first_row), p.splits, split);
    wait_for_cluster();
    splits.send(meeting, of_splits, kThreads);
    synchronize_cluster();
    splits.add_up(of_splits, kThreads, [&](int row, int column, float result) {
      const float value[1] = {result};
      store<1>(value, p.out, int64_t{kv_head * p.group + first_row + row} * Width + column);
    });
  } else {
    meeting.write(p, first_row, kv_head, split, kThreads);
  }
}

// Of one token.
int row_blocks(const AttentionProblem& p) { return (p.group + kQueries - 1) / kQueries; }

// body(width), a constant, with the width of the heads.
template <typename Body>
auto with_width(const AttentionProblem& p, const Body& body) {
  return p.head_dim == 64 ? body(std::integral_constant<int, 64>{})
                          : body(std::integral_constant<int, 128>{});
}

// Splits that are a cluster: a power of two, up to two blocks for a multiprocessor. 1 where there is none.
int cluster_splits(const AttentionProblem& p, int64_t blocks, int multiprocessors) {
  const int most = with_width(
      p, [](auto width) { return max_cluster<token_kernel<decltype(width)::value, true>>(kThreads); });
  const int steps = (p.capacity + kStep - 1) / kStep;
  int splits = 1;
  while (2 * splits <= std::min(most, kMaxCluster) && splits < steps && blocks * splits <= multiprocessors)
    splits *= 2;
  const bool fills_device = 2 * blocks * splits >= multiprocessors;
  return fills_device || steps <= kMaxClusterSteps * splits ? splits : 1;
}

}  // namespace

bool is_token_attention(const AttentionProblem& p) {
  const bool bf16 =
      p.q.dtype == QUTLASS_BF16 && p.k_cache.dtype == QUTLASS_BF16 && p.v_cache.dtype == QUTLASS_BF16;
  return p.tokens == 1 && bf16 && p.q_vectors && p.k_vectors && p.v_vectors &&
         (p.head_dim == 64 || p.head_dim == 128);
}

void plan_token_attention(AttentionProblem& p, int multiprocessors) {
  const int64_t blocks = int64_t{row_blocks(p)} * p.kv_heads;
  p.splits = cluster_splits(p, blocks, multiprocessors);
  p.in_cluster = p.splits > 1;
  if (!p.in_cluster) choose_splits(p, blocks, int64_t{multiprocessors} * kResident, kStep);
}

void launch_token_attention(const AttentionProblem& p, const cudaDeviceProp& device, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(p.splits), static_cast<unsigned>(p.kv_heads),
                  static_cast<unsigned>(row_blocks(p)));
  const unsigned cluster = p.in_cluster ? grid.x : 1;
  with_width(p, [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    launch_dependent(stream, device, p.in_cluster ? token_kernel<kWidth, true> : token_kernel<kWidth, false>,
                     {grid, kThreads, 0, cluster}, p);
  });
}

}  // namespace qutlass::cuda
