// Attention of few rows over any cache. Groups of lanes go through the cache rows of the block on their own,
// each lane with eight columns of keys, values and sums in registers; nothing is shared until the groups are
// added up at the end.
#include <algorithm>

#include "attention.cuh"
#include "attention_meeting.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 128;
// Query rows that a block keeps in registers.
constexpr int kRows = 4;
// Cache rows that a group reads at once, while it works on as many: 2 * 4 loads of 16 bytes of a lane in
// flight, in registers as they lie in memory, cover the latency.
constexpr int kBatch = 4;
// Eight columns of a row, of caches of whole vectors of one type.
template <typename T>
struct VectorReader {
  using Raw = T;

  static __device__ void read(const Dense& cache, int64_t offset, int column, int width, T (&raw)[kVector]) {
    uint4 words[sizeof raw / sizeof(uint4)] = {};
    if (column < width) {
      const auto* from = reinterpret_cast<const uint4*>(static_cast<const T*>(cache.data) + offset + column);
#pragma unroll
      for (int i = 0; i < static_cast<int>(std::size(words)); ++i) words[i] = from[i];
    }
    memcpy(raw, words, sizeof raw);
  }
};

// Of all other caches.
struct AnyReader {
  using Raw = float;

  static __device__ void read(const Dense& cache, int64_t offset, int column, int width,
                              float (&raw)[kVector]) {
    visit(cache, [&](const auto* data) { read_chunk(data + offset, column, width, false, raw); });
  }
};

// A lane's columns of a batch of cache rows: first, first + stride, ..., the last of which repeats.
template <typename Reader>
struct Batch {
  typename Reader::Raw keys[kBatch][kVector], values[kBatch][kVector];

  __device__ void read(const AttentionProblem& p, int kv_head, int column, int first, int stride, int end) {
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int64_t offset = cache_offset(p, min(first + j * stride, end - 1), kv_head);
      Reader::read(p.k_cache, offset, column, p.head_dim, keys[j]);
      Reader::read(p.v_cache, offset, column, p.head_dim, values[j]);
    }
  }
};

// Blocks that a multiprocessor has the registers for.
template <typename Reader>
constexpr int kResident = sizeof(typename Reader::Raw) == 2 ? 3 : 2;

// What a group of lanes has gathered for one query row; the sums of this lane's columns.
struct Gathered {
  float largest = -INFINITY;
  float weight = 0;
  float sums[kVector] = {};
};

// Adds a batch of cache rows first, first + stride, ..., of which a query row sees those below its limit.
template <int Lanes, typename Reader>
__device__ void gather(Gathered (&rows)[kRows], const float (&queries)[kRows][kVector],
                       const Batch<Reader>& batch, float scale, int first, int stride,
                       const int (&limits)[kRows]) {
  // Scores, then the weights that they become. Cache rows go through registers one at a time.
  float weights[kRows][kBatch];
#pragma unroll
  for (int j = 0; j < kBatch; ++j) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float score = 0;
#pragma unroll
      for (int i = 0; i < kVector; ++i) score = fmaf(queries[r][i], to_float(batch.keys[j][i]), score);
#pragma unroll
      for (int distance = Lanes / 2; distance > 0; distance /= 2) {
        score += __shfl_xor_sync(0xFFFFFFFFu, score, distance);
      }
      weights[r][j] = score * scale;
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    float largest = rows[r].largest;
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      if (first + j * stride < limits[r]) largest = fmaxf(largest, weights[r][j]);
    }
    const float shift = score_shift(largest);
    const float factor = expf(rows[r].largest - shift);
    rows[r].largest = largest;
    rows[r].weight *= factor;
#pragma unroll
    for (float& sum : rows[r].sums) sum *= factor;
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      weights[r][j] = expf(weights[r][j] - shift);
      if (first + j * stride < limits[r]) rows[r].weight += weights[r][j];
    }
  }
#pragma unroll
  for (int j = 0; j < kBatch; ++j) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      // A weight of 0 would not do for rows that are not seen: their values may be NaN.
      if (first + j * stride >= limits[r]) continue;
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        rows[r].sums[i] = fmaf(weights[r][j], to_float(batch.values[j][i]), rows[r].sums[i]);
      }
    }
  }
}

// Grid: blocks of kRows rows, kv heads, splits. `Lanes` lanes hold a row of up to 8 * Lanes columns.
template <typename Reader, int Lanes>
__global__ void __launch_bounds__(kThreads, kResident<Reader>)
    decode_kernel(const __grid_constant__ AttentionProblem p) {
  constexpr int kGroups = kThreads / Lanes;
  constexpr int kStep = kGroups * kBatch;
  __shared__ Meeting<kGroups, kRows, Lanes * kVector> meeting;
  const int group = static_cast<int>(threadIdx.x) / Lanes;
  const int column = static_cast<int>(threadIdx.x) % Lanes * kVector;
  const int kv_head = static_cast<int>(blockIdx.y), split = static_cast<int>(blockIdx.z);
  const int rows = rows_of_kv_head(p);
  const int first_row = static_cast<int>(blockIdx.x) * kRows;
  int64_t query_offsets[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    query_offsets[r] = head_index(p, min(first_row + r, rows - 1), kv_head) * p.head_dim;
  }
  await_dependency();

  // On their way while the positions come.
  const bool vectors = p.q_vectors && column < p.head_dim;
  Fetched<kVector> fetched[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (vectors) fetched[r] = Fetched<kVector>(p.q, query_offsets[r] + column);
  }
  int limits[kRows];
  int deepest = 0;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    limits[r] = first_row + r < rows ? visible_rows(p, first_row + r) : 0;
    deepest = max(deepest, limits[r]);
  }
  const CacheRange range = split_range(deepest, split, p.splits, kStep);
#pragma unroll
  for (int& limit : limits) limit = min(limit, range.end);
  Batch<Reader> next;
  if (range.begin < range.end) next.read(p, kv_head, column, range.begin + group, kGroups, range.end);
  float queries[kRows][kVector];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (vectors) {
      fetched[r].decode(queries[r]);
    } else {
      visit(p.q, [&](const auto* data) {
        read_chunk(data + query_offsets[r], column, p.head_dim, false, queries[r]);
      });
    }
  }

  Gathered gathered[kRows];
  for (int base = range.begin; base < range.end; base += kStep) {
    const int first = base + group;
    const Batch<Reader> batch = next;
    if (base + kStep < range.end) next.read(p, kv_head, column, first + kStep, kGroups, range.end);
    gather<Lanes>(gathered, queries, batch, p.scale, first, kGroups, limits);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (column == 0) meeting.largest[r][group] = gathered[r].largest;
    if (threadIdx.x == 0) meeting.seen[r] = limits[r] > range.begin;
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float factor = meeting.factor(r, group);
    if (column == 0) meeting.weights[r][group] = gathered[r].weight * factor;
#pragma unroll
    for (int i = 0; i < kVector; ++i) meeting.sums[group][r][column + i] = gathered[r].sums[i] * factor;
  }
  __syncthreads();
  meeting.write(p, first_row, kv_head, split, kThreads);
}

int lanes_of(const AttentionProblem& p) { return p.head_dim <= 64 ? 8 : p.head_dim <= 128 ? 16 : 32; }

int row_blocks(const AttentionProblem& p) { return (rows_of_kv_head(p) + kRows - 1) / kRows; }

// body(Reader) with the reader for the caches.
template <typename Body>
void with_reader(const AttentionProblem& p, Body body) {
  if (p.k_cache.dtype != p.v_cache.dtype || !p.k_vectors || !p.v_vectors)
    return body.template operator()<AnyReader>();
  switch (p.k_cache.dtype) {
    case QUTLASS_BF16: return body.template operator()<VectorReader<__nv_bfloat16>>();
    case QUTLASS_F16: return body.template operator()<VectorReader<__half>>();
    default: return body.template operator()<VectorReader<float>>();
  }
}

}  // namespace

void plan_decode_attention(AttentionProblem& p, int multiprocessors) {
  with_reader(p, [&]<typename Reader>() {
    choose_splits(p, int64_t{row_blocks(p)} * p.kv_heads, int64_t{multiprocessors} * kResident<Reader>,
                  kThreads / lanes_of(p) * kBatch);
  });
}

void launch_decode_attention(const AttentionProblem& p, const cudaDeviceProp& device, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(row_blocks(p)), static_cast<unsigned>(p.kv_heads),
                  static_cast<unsigned>(p.splits));
  with_reader(p, [&]<typename Reader>() {
    const auto kernel = lanes_of(p) == 8    ? decode_kernel<Reader, 8>
                        : lanes_of(p) == 16 ? decode_kernel<Reader, 16>
                                            : decode_kernel<Reader, 32>;
    launch_dependent(stream, device, kernel, {grid, kThreads}, p);
  });
}

}  // namespace qutlass::cuda
