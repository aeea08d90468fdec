// Attention of many rows, as in prefill: tiles of the cache pass through shared memory as float32, and a
// block of 16 x 16 threads multiplies them with a tile of queries. A thread has neighbouring rows, and
// columns 16 (scores) or 64 (sums, four at a time) apart, so that reads of a warp meet no bank twice.
#include "attention.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "launch.h"
#include "shared_memory.h"

namespace qutlass::cuda {
namespace {

constexpr int kSide = 16;
constexpr int kThreads = kSide * kSide;
// Rows of tiles are this much longer than they need be, against bank conflicts.
constexpr int kPadding = 4;
constexpr int kBlocksPerMultiprocessor = 2;
// Tiles of the cache that a split has when all of it is visible: fewer would not pay for adding the splits
// up.
constexpr int kTilesPerSplit = 4;

// Tiles for heads of up to Width columns: Rows query rows, Keys cache rows.
template <int Width, int Rows, int Keys>
struct Tiles {
  static constexpr int kWidth = Width;
  static constexpr int kRows = Rows;
  static constexpr int kKeys = Keys;
  static constexpr int kStride = Width + kPadding;
  static constexpr int kWeightStride = Keys + kPadding;
  static constexpr int kRowsPerThread = Rows / kSide;
  static constexpr int kKeysPerThread = Keys / kSide;
  static constexpr int kQuadsPerThread = Width / (4 * kSide);

  float queries[Rows * kStride];
  float cache[Keys * kStride];  // keys, then values
  float weights[Rows * kWeightStride];
  int visible[Rows];
};

// Fewer rows for the widest heads: all sizes fit in the 99 KB of the smallest multiprocessors.
using Tiles64 = Tiles<64, 64, 64>;
using Tiles128 = Tiles<128, 64, 64>;
using Tiles256 = Tiles<256, 32, 32>;

// Fills a tile with the rows whose offsets offset_of(row) gives; -1 and columns past the head are zeros.
template <typename T, int Rows, typename OffsetOf>
__device__ void load_tile(const Dense& tensor, bool vectors, int head_dim, float* tile, OffsetOf offset_of) {
  constexpr int kChunks = T::kWidth / kVector;
  visit(tensor, [&](const auto* data) {
#pragma unroll 4
    for (int index = threadIdx.x; index < Rows * kChunks; index += kThreads) {
      const int row = index / kChunks, column = index % kChunks * kVector;
      const int64_t offset = offset_of(row);
      float values[kVector] = {};
      if (offset >= 0) read_chunk(data + offset, column, head_dim, vectors, values);
      auto* to = reinterpret_cast<float4*>(tile + row * T::kStride + column);
      to[0] = make_float4(values[0], values[1], values[2], values[3]);
      to[1] = make_float4(values[4], values[5], values[6], values[7]);
    }
  });
}

// The rows of one thread on their way through the cache.
template <typename T>
struct ThreadRows {
  int visible[T::kRowsPerThread];
  float largest[T::kRowsPerThread];
  float weight[T::kRowsPerThread];  // of this thread's keys only
  float4 sums[T::kRowsPerThread][T::kQuadsPerThread];
};

__device__ inline float dot4(float4 a, float4 b, float sum) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

__device__ inline float4 add_scaled(float factor, float4 value, float4 sum) {
  return make_float4(fmaf(factor, value.x, sum.x), fmaf(factor, value.y, sum.y), fmaf(factor, value.z, sum.z),
                     fmaf(factor, value.w, sum.w));
}

template <typename T>
__device__ void multiply_keys(const T& tiles, int ty, int tx,
                              float (&scores)[T::kRowsPerThread][T::kKeysPerThread]) {
#pragma unroll 4
  for (int d = 0; d < T::kWidth; d += 4) {
    float4 query[T::kRowsPerThread];
#pragma unroll
    for (int i = 0; i < T::kRowsPerThread; ++i) {
      query[i] =
          *reinterpret_cast<const float4*>(&tiles.queries[(ty * T::kRowsPerThread + i) * T::kStride + d]);
    }
#pragma unroll
    for (int j = 0; j < T::kKeysPerThread; ++j) {
      const float4 key = *reinterpret_cast<const float4*>(&tiles.cache[(tx + kSide * j) * T::kStride + d]);
#pragma unroll
      for (int i = 0; i < T::kRowsPerThread; ++i) scores[i][j] = dot4(query[i], key, scores[i][j]);
    }
  }
}

// Scores to weights, which go to shared memory; what was summed before is brought to the new maximum. The 16
// threads of a row lie in one half of a warp.
template <typename T>
__device__ void weigh(T& tiles, ThreadRows<T>& rows, int ty, int tx, int start, float scale,
                      float (&scores)[T::kRowsPerThread][T::kKeysPerThread]) {
#pragma unroll
  for (int i = 0; i < T::kRowsPerThread; ++i) {
    float largest = rows.largest[i];
#pragma unroll
    for (int j = 0; j < T::kKeysPerThread; ++j) {
      scores[i][j] = start + tx + kSide * j < rows.visible[i] ? scale * scores[i][j] : -INFINITY;
      largest = fmaxf(largest, scores[i][j]);
    }
#pragma unroll
    for (int distance = kSide / 2; distance > 0; distance /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, distance));
    }
    const float shift = score_shift(largest);
    const float factor = expf(rows.largest[i] - shift);
    rows.largest[i] = largest;
    rows.weight[i] *= factor;
#pragma unroll
    for (float4& sum : rows.sums[i]) {
      sum = make_float4(sum.x * factor, sum.y * factor, sum.z * factor, sum.w * factor);
    }
#pragma unroll
    for (int j = 0; j < T::kKeysPerThread; ++j) {
      const float weight = expf(scores[i][j] - shift);
      rows.weight[i] += weight;
      tiles.weights[(ty * T::kRowsPerThread + i) * T::kWeightStride + tx + kSide * j] = weight;
    }
  }
}

// Guarded: some row does not see all of the tile, and values that it does not see may be NaN, so a weight of
// 0 would not do.
template <bool Guarded, typename T>
__device__ void multiply_values(const T& tiles, ThreadRows<T>& rows, int ty, int tx, int start, int count) {
  for (int t = 0; t < count; t += 4) {
    float weights[T::kRowsPerThread][4];
#pragma unroll
    for (int i = 0; i < T::kRowsPerThread; ++i) {
      *reinterpret_cast<float4*>(weights[i]) = *reinterpret_cast<const float4*>(
          &tiles.weights[(ty * T::kRowsPerThread + i) * T::kWeightStride + t]);
    }
#pragma unroll
    for (int s = 0; s < 4; ++s) {
#pragma unroll
      for (int j = 0; j < T::kQuadsPerThread; ++j) {
        const float4 value =
            *reinterpret_cast<const float4*>(&tiles.cache[(t + s) * T::kStride + 4 * (tx + kSide * j)]);
#pragma unroll
        for (int i = 0; i < T::kRowsPerThread; ++i) {
          if (Guarded && start + t + s >= rows.visible[i]) continue;
          rows.sums[i][j] = add_scaled(weights[i][s], value, rows.sums[i][j]);
        }
      }
    }
  }
}

template <typename T>
__device__ void write_rows(const AttentionProblem& p, ThreadRows<T>& rows, int first_row, int ty, int tx,
                           int kv_head, int split, CacheRange range) {
#pragma unroll
  for (int i = 0; i < T::kRowsPerThread; ++i) {
#pragma unroll
    for (int distance = kSide / 2; distance > 0; distance /= 2) {
      rows.weight[i] += __shfl_xor_sync(0xFFFFFFFFu, rows.weight[i], distance);
    }
    const int row = first_row + ty * T::kRowsPerThread + i;
    if (row >= rows_of_kv_head(p)) continue;
    const bool seen = rows.visible[i] > range.begin;
    const int64_t head = head_index(p, row, kv_head);
    const int64_t slot = split * p.tokens * p.heads + head;
    if (p.splits > 1 && tx == 0)
      p.partial_stats[head * p.splits + split] = {rows.largest[i], seen ? rows.weight[i] : kNothingSeen};
#pragma unroll
    for (int j = 0; j < T::kQuadsPerThread; ++j) {
      const float4 sum = rows.sums[i][j];
      const float of_column[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int column = 4 * (tx + kSide * j) + c;
        if (column >= p.head_dim) continue;
        if (p.splits == 1) {
          const float result[1] = {seen ? of_column[c] / rows.weight[i] : 0.0f};
          store<1>(result, p.out, head * p.head_dim + column);
        } else {
          p.partial_sums[slot * p.head_dim + column] = seen ? of_column[c] : 0.0f;
        }
      }
    }
  }
}

// Grid: blocks of rows, kv heads, splits.
template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocksPerMultiprocessor) tile_kernel(AttentionProblem p) {
  extern __shared__ float4 shared[];
  await_dependency();
  T& tiles = *reinterpret_cast<T*>(shared);
  const int ty = threadIdx.x / kSide, tx = threadIdx.x % kSide;
  const int kv_head = blockIdx.y, split = blockIdx.z;
  const int matrix_rows = rows_of_kv_head(p);
  // Late tokens see more of the cache: starting with them leaves short blocks to even out the end.
  const int first_row = static_cast<int>(gridDim.x - 1 - blockIdx.x) * T::kRows;

  if (threadIdx.x < T::kRows) {
    const int row = first_row + static_cast<int>(threadIdx.x);
    tiles.visible[threadIdx.x] = row < matrix_rows ? visible_rows(p, row) : 0;
  }
  load_tile<T, T::kRows>(p.q, p.q_vectors, p.head_dim, tiles.queries, [&](int row) {
    return first_row + row < matrix_rows ? head_index(p, first_row + row, kv_head) * p.head_dim : int64_t{-1};
  });
  __syncthreads();
  int deepest = 0, shallowest = p.capacity;
  for (int row = 0; row < T::kRows && first_row + row < matrix_rows; ++row) {
    deepest = max(deepest, tiles.visible[row]);
    shallowest = min(shallowest, tiles.visible[row]);
  }
  const CacheRange range = split_range(deepest, split, p.splits, T::kKeys);

  ThreadRows<T> rows;
#pragma unroll
  for (int i = 0; i < T::kRowsPerThread; ++i) {
    rows.visible[i] = tiles.visible[ty * T::kRowsPerThread + i];
    rows.largest[i] = -INFINITY;
    rows.weight[i] = 0;
#pragma unroll
    for (float4& sum : rows.sums[i]) sum = make_float4(0, 0, 0, 0);
  }
  for (int start = range.begin; start < range.end; start += T::kKeys) {
    const int count = min(T::kKeys, range.end - start);
    const auto offset_of = [&](int row) {
      return row < count ? cache_offset(p, start + row, kv_head) : int64_t{-1};
    };
    __syncthreads();
    load_tile<T, T::kKeys>(p.k_cache, p.k_vectors, p.head_dim, tiles.cache, offset_of);
    __syncthreads();
    float scores[T::kRowsPerThread][T::kKeysPerThread] = {};
    multiply_keys(tiles, ty, tx, scores);
    weigh(tiles, rows, ty, tx, start, p.scale, scores);
    __syncthreads();
    load_tile<T, T::kKeys>(p.v_cache, p.v_vectors, p.head_dim, tiles.cache, offset_of);
    __syncthreads();
    if (start + count <= shallowest) {
      multiply_values<false>(tiles, rows, ty, tx, start, count);
    } else {
      multiply_values<true>(tiles, rows, ty, tx, start, count);
    }
  }
  write_rows(p, rows, first_row, ty, tx, kv_head, split, range);
}

template <typename T>
int64_t row_blocks(const AttentionProblem& p) {
  return (rows_of_kv_head(p) + T::kRows - 1) / T::kRows;
}

// body(Tiles) with the tiles for the width of the heads.
template <typename Body>
void with_tiles(const AttentionProblem& p, Body body) {
  if (p.head_dim <= 64) return body.template operator()<Tiles64>();
  if (p.head_dim <= 128) return body.template operator()<Tiles128>();
  body.template operator()<Tiles256>();
}

}  // namespace

void plan_tile_attention(AttentionProblem& p, int multiprocessors) {
  with_tiles(p, [&]<typename T>() {
    choose_splits(p, row_blocks<T>(p) * p.kv_heads, int64_t{multiprocessors} * kBlocksPerMultiprocessor,
                  T::kKeys * kTilesPerSplit);
  });
}

void launch_tile_attention(const AttentionProblem& p, const cudaDeviceProp& device, cudaStream_t stream) {
  with_tiles(p, [&]<typename T>() {
    const dim3 grid(static_cast<unsigned>(row_blocks<T>(p)), static_cast<unsigned>(p.kv_heads),
                    static_cast<unsigned>(p.splits));
    allow_shared_memory<tile_kernel<T>>(sizeof(T));
    launch_dependent(stream, device, tile_kernel<T>, {grid, kThreads, sizeof(T)}, p);
  });
}

}  // namespace qutlass::cuda
