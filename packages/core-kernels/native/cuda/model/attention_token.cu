// Attention of one token over a bf16 cache, as in decoding: the time is that of reading the cache. Tensor
// cores take keys as they lie in memory, and values after one exchange of halves between two rows; each warp
// goes through tiles of 16 cache rows on its own. Splits take steps of the cache in turn, so that addresses
// follow from the position without a division; where there are clusters, the splits of a head are one.
#include <algorithm>
#include <type_traits>

#include "attention.cuh"
#include "attention_meeting.cuh"
#include "attention_new_token.cuh"
#include "attention_token.cuh"
#include "cuda/atoms/dependent_launch.cuh"
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

// Of splits that each give their part, or are a cluster, also one that rotates and appends the token.
enum class Splits { kApart, kCluster, kAppendingCluster };

// Grid: splits, kv heads, blocks of kQueries query heads.
template <int Width, Splits kSplits>
__global__ void __launch_bounds__(kThreads, kResident)
    token_kernel(const __grid_constant__ AttentionProblem p) {
  constexpr bool kCluster = kSplits != Splits::kApart, kAppends = kSplits == Splits::kAppendingCluster;
  using OfSplits = SplitsMeeting<kQueries, Width, kMaxCluster>;
  __shared__ Meeting<kWarps, kQueries, Width, Width + 1> meeting;
  __shared__ std::conditional_t<kCluster, typename OfSplits::Shared, char> of_splits;
  __shared__ std::conditional_t<kAppends, Turns<Width>, char> turns;
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
  // Rows that lie in the cache, and whether this warp has the tile of another.
  int stored = end;
  bool owns = false;
  NewRow<Width> row;
  if constexpr (kAppends) {
    if (end > 0 && p.positions[0] == end - 1) {
      stored = end - 1;
      owns = (stored / kTileRows & (p.splits * kWarps - 1)) == split * kWarps + warp;
    }
    if (owns) row.read(p, kv_head, lane);
  }
  Gathered<Width> gathered;
  Tile<Width> next;
  next.read(source, stored - first, lane);
  if constexpr (kAppends) {
    turns.fill(p, kThreads);
    __syncthreads();
    turns.turn(queries.words, lane);
    if (owns) {
      turns.turn(row.keys, lane);
      row.write(p, kv_head, stored, lane);
    }
  }
  for (; first < end; first += stride) {
    Tile<Width> tile = next;
    source.skip(stride);
    next.read(source, stored - first - stride, lane);
    if (kAppends && owns && end - first <= kTileRows) row.put(tile, stored - first, lane);
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
    // All of them have read the queries.
    if (kAppends && split == 0 && warp == 0 && p.out.data != p.q.data) queries.write(p, kv_head, lane);
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
  const int most = with_width(p, [](auto width) {
    constexpr int kWidth = decltype(width)::value;
    return std::min(max_cluster<token_kernel<kWidth, Splits::kCluster>>(kThreads),
                    max_cluster<token_kernel<kWidth, Splits::kAppendingCluster>>(kThreads));
  });
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

bool can_append(const AttentionProblem& p) { return p.in_cluster && row_blocks(p) == 1; }

void launch_token_attention(const AttentionProblem& p, const cudaDeviceProp& device, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(p.splits), static_cast<unsigned>(p.kv_heads),
                  static_cast<unsigned>(row_blocks(p)));
  const unsigned cluster = p.in_cluster ? grid.x : 1;
  with_width(p, [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const auto kernel = !p.in_cluster ? token_kernel<kWidth, Splits::kApart>
                        : p.inv_freq  ? token_kernel<kWidth, Splits::kAppendingCluster>
                                      : token_kernel<kWidth, Splits::kCluster>;
    launch_dependent(stream, device, kernel, {grid, kThreads, 0, cluster}, p);
  });
}

}  // namespace qutlass::cuda
