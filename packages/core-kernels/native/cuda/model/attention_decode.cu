// Attention of few rows, as in decoding: the time is that of reading the cache. Groups of lanes go through
// the cache rows of the block on their own, each lane with eight columns of keys, values and sums in
// registers; nothing is shared until the groups are added up at the end.
#include <algorithm>

#include "attention.cuh"
#include "block_reduce.cuh"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 128;
// Query rows that a block keeps in registers.
constexpr int kRows = 4;
// Cache rows that a group reads at once: 2 * 4 loads of 16 bytes in flight cover the latency of memory.
constexpr int kBatch = 4;
// Blocks to a multiprocessor: about what the registers allow at a time, and one more against an uneven end.
constexpr int kBlocksPerMultiprocessor = 4;

// Caches of whole vectors of one type.
template <typename T>
struct VectorReader {
  static __device__ void read(const Dense& cache, int64_t offset, int column, int width,
                              float (&values)[kVector]) {
    if (column < width) {
      load<kVector>(static_cast<const T*>(cache.data) + offset + column, values);
    } else {
#pragma unroll
      for (float& value : values) value = 0;
    }
  }
};

// All other caches.
struct AnyReader {
  static __device__ void read(const Dense& cache, int64_t offset, int column, int width,
                              float (&values)[kVector]) {
    visit(cache, [&](const auto* data) { read_chunk(data + offset, column, width, false, values); });
  }
};

// What a group of lanes has gathered for one query row; the sums of this lane's columns.
struct Gathered {
  float largest = -INFINITY;
  float weight = 0;
  float sums[kVector] = {};
};

// A batch of cache rows first, first + stride, ..., of which a query row sees those below `limit`.
__device__ void gather(Gathered& row, const float (&scores)[kBatch], const float (&values)[kBatch][kVector],
                       int first, int stride, int limit) {
  float largest = row.largest;
#pragma unroll
  for (int j = 0; j < kBatch; ++j) {
    if (first + j * stride < limit) largest = fmaxf(largest, scores[j]);
  }
  const float shift = score_shift(largest);
  const float factor = expf(row.largest - shift);
  row.largest = largest;
  row.weight *= factor;
#pragma unroll
  for (float& sum : row.sums) sum *= factor;
#pragma unroll
  for (int j = 0; j < kBatch; ++j) {
    // A weight of 0 would not do for rows that are not seen: their values may be NaN.
    if (first + j * stride >= limit) continue;
    const float weight = expf(scores[j] - shift);
    row.weight += weight;
#pragma unroll
    for (int i = 0; i < kVector; ++i) row.sums[i] = fmaf(weight, values[j][i], row.sums[i]);
  }
}

// Adds up the groups of the block and writes its result. stats [groups, kRows], sums [groups, kRows, width].
template <int Lanes>
__device__ void write_result(const AttentionProblem& p, const float2* stats, const float* sums,
                             int64_t first_row, int kv_head, int split, CacheRange range) {
  constexpr int kGroups = kThreads / Lanes;
  constexpr int kWidth = Lanes * kVector;
  for (int index = threadIdx.x; index < kRows * kWidth; index += kThreads) {
    const int r = index / kWidth, column = index % kWidth;
    if (first_row + r >= rows_of_kv_head(p) || column >= p.head_dim) continue;
    float largest = -INFINITY;
    for (int g = 0; g < kGroups; ++g) largest = fmaxf(largest, stats[g * kRows + r].x);
    const float shift = score_shift(largest);
    float weight = 0, sum = 0;
    for (int g = 0; g < kGroups; ++g) {
      const float factor = expf(stats[g * kRows + r].x - shift);
      weight = fmaf(stats[g * kRows + r].y, factor, weight);
      sum = fmaf(sums[(g * kRows + r) * kWidth + column], factor, sum);
    }
    const int64_t head = head_index(p, first_row + r, kv_head);
    const bool seen = visible_rows(p, first_row + r) > range.begin;
    if (p.splits == 1) {
      const float result[1] = {seen ? sum / weight : 0.0f};
      store<1>(result, p.out, head * p.head_dim + column);
      continue;
    }
    const int64_t slot = split * p.tokens * p.heads + head;
    if (column == 0) p.partial_stats[slot] = {largest, seen ? weight : kNothingSeen};
    if (seen) p.partial_sums[slot * p.head_dim + column] = sum;
  }
}

// Grid: blocks of kRows rows, kv heads, splits. `Lanes` lanes hold a row of up to 8 * Lanes columns.
template <typename Reader, int Lanes>
__global__ void __launch_bounds__(kThreads) decode_kernel(AttentionProblem p) {
  constexpr int kGroups = kThreads / Lanes;
  constexpr int kWidth = Lanes * kVector;
  __shared__ float2 stats[kGroups * kRows];
  __shared__ float sums[kGroups * kRows * kWidth];
  const int group = threadIdx.x / Lanes;
  const int column = threadIdx.x % Lanes * kVector;
  const int kv_head = blockIdx.y, split = blockIdx.z;
  const int64_t rows = rows_of_kv_head(p);
  const int64_t first_row = int64_t{blockIdx.x} * kRows;

  int limits[kRows];
  int deepest = 0;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    limits[r] = first_row + r < rows ? visible_rows(p, first_row + r) : 0;
    deepest = max(deepest, limits[r]);
  }
  float queries[kRows][kVector];
  visit(p.q, [&](const auto* data) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t head = head_index(p, min(first_row + r, rows - 1), kv_head);
      read_chunk(data + head * p.head_dim, column, p.head_dim, p.q_vectors, queries[r]);
    }
  });
  const CacheRange range = split_range(deepest, split, p.splits, kGroups * kBatch);
#pragma unroll
  for (int& limit : limits) limit = min(limit, range.end);

  Gathered gathered[kRows];
  for (int base = range.begin; base < range.end; base += kGroups * kBatch) {
    const int first = base + group;
    float keys[kBatch][kVector], values[kBatch][kVector];
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int64_t offset = cache_offset(p, min(first + j * kGroups, range.end - 1), kv_head);
      Reader::read(p.k_cache, offset, column, p.head_dim, keys[j]);
      Reader::read(p.v_cache, offset, column, p.head_dim, values[j]);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float scores[kBatch] = {};
#pragma unroll
      for (int j = 0; j < kBatch; ++j) {
#pragma unroll
        for (int i = 0; i < kVector; ++i) scores[j] = fmaf(queries[r][i], keys[j][i], scores[j]);
#pragma unroll
        for (int distance = Lanes / 2; distance > 0; distance /= 2) {
          scores[j] += __shfl_xor_sync(0xFFFFFFFFu, scores[j], distance);
        }
        scores[j] *= p.scale;
      }
      gather(gathered[r], scores, values, first, kGroups, limits[r]);
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (column == 0) stats[group * kRows + r] = {gathered[r].largest, gathered[r].weight};
#pragma unroll
    for (int i = 0; i < kVector; ++i) sums[(group * kRows + r) * kWidth + column + i] = gathered[r].sums[i];
  }
  __syncthreads();
  write_result<Lanes>(p, stats, sums, first_row, kv_head, split, range);
}

int lanes_of(const AttentionProblem& p) { return p.head_dim <= 64 ? 8 : p.head_dim <= 128 ? 16 : 32; }

int64_t row_blocks(const AttentionProblem& p) { return (rows_of_kv_head(p) + kRows - 1) / kRows; }

template <typename Reader>
void launch(const AttentionProblem& p, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(row_blocks(p)), static_cast<unsigned>(p.kv_heads),
                  static_cast<unsigned>(p.splits));
  switch (lanes_of(p)) {
    case 8: decode_kernel<Reader, 8><<<grid, kThreads, 0, stream>>>(p); break;
    case 16: decode_kernel<Reader, 16><<<grid, kThreads, 0, stream>>>(p); break;
    default: decode_kernel<Reader, 32><<<grid, kThreads, 0, stream>>>(p); break;
  }
}

}  // namespace

void plan_decode_attention(AttentionProblem& p, int multiprocessors) {
  choose_splits(p, row_blocks(p) * p.kv_heads, int64_t{multiprocessors} * kBlocksPerMultiprocessor,
                kThreads / lanes_of(p) * kBatch);
}

void launch_decode_attention(const AttentionProblem& p, cudaStream_t stream) {
  if (p.k_cache.dtype != p.v_cache.dtype || !p.k_vectors || !p.v_vectors) return launch<AnyReader>(p, stream);
  switch (p.k_cache.dtype) {
    case QUTLASS_BF16: return launch<VectorReader<__nv_bfloat16>>(p, stream);
    case QUTLASS_F16: return launch<VectorReader<__half>>(p, stream);
    default: return launch<VectorReader<float>>(p, stream);
  }
}

}  // namespace qutlass::cuda
