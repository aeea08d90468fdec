// Causal grouped-query attention over a key-value cache.
#include "attention.cuh"

#include <algorithm>
#include <limits>
#include <vector>

#include "block_reduce.cuh"
#include "check.h"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/operations.h"
#include "launch.h"
#include "scratch.h"

namespace qutlass::cuda {
namespace {

constexpr int kMaxHeadDim = 256;
// The most partial results of a row, which one thread per column adds up.
constexpr int64_t kMaxSplits = 128;
// Threads of the kernel that adds them up: columns of a head, and groups of splits.
constexpr int kCombineColumns = 128;
constexpr int kCombineGroups = 4;
constexpr int kCombineThreads = kCombineColumns * kCombineGroups;
constexpr int kSplitsPerLane = kMaxSplits / kWarp;

// What each split is multiplied with, by lanes of a warp: split s is number s / 32 of lane s % 32.
struct Factors {
  float values[kSplitsPerLane];
  float weight;  // of all
  bool seen;     // whether any split sees anything

  __device__ Factors(const AttentionProblem& p, int64_t head) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    float2 stats[kSplitsPerLane];
    float largest = -INFINITY;
    seen = false;
#pragma unroll
    for (int i = 0; i < kSplitsPerLane; ++i) {
      const int split = i * kWarp + lane;
      stats[i] = split < p.splits ? p.partial_stats[head * p.splits + split] : float2{0, kNothingSeen};
    }
#pragma unroll
    for (const float2& of_split : stats) {
      if (of_split.y == kNothingSeen) continue;
      largest = fmaxf(largest, of_split.x);
      seen = true;
    }
    seen = __any_sync(0xFFFFFFFFu, seen);
    largest = warp_reduce(largest, [](float a, float b) { return fmaxf(a, b); });
    const float shift = score_shift(largest);
    weight = 0;
#pragma unroll
    for (int i = 0; i < kSplitsPerLane; ++i) {
      const bool own = stats[i].y != kNothingSeen;
      values[i] = own ? expf(stats[i].x - shift) : 0.0f;
      if (own) weight = fmaf(stats[i].y, values[i], weight);
    }
    weight = warp_reduce(weight, [](float a, float b) { return a + b; });
  }
};

// The sums of some splits of a head, group, group + kCombineGroups, ... from `begin` on, zeros beyond.
struct SumsOfSplits {
  static constexpr int kCount = 8;
  static constexpr int kStep = kCount * kCombineGroups;
  float values[kCount];

  __device__ void read(const AttentionProblem& p, int64_t head, int begin, int column) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int64_t split = begin + i * kCombineGroups;
      values[i] = 0;
      if (split < p.splits && column < p.head_dim)
        values[i] = p.partial_sums[(split * gridDim.x + head) * p.head_dim + column];
    }
  }
  __device__ float add(float sum, const AttentionProblem& p, const float* factors, int begin) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int split = begin + i * kCombineGroups;
      if (split < p.splits) sum = fmaf(values[i], factors[split], sum);
    }
    return sum;
  }
};

// out = the sum over the splits, each brought to the largest score of all. A block to a head of a token.
__global__ void __launch_bounds__(kCombineThreads)
    combine_kernel(const __grid_constant__ AttentionProblem p) {
  __shared__ float parts[kCombineGroups][kCombineColumns];
  __shared__ float factors[kMaxSplits];
  await_dependency();
  const int64_t head = blockIdx.x;
  const int lane = static_cast<int>(threadIdx.x) % kCombineColumns;
  const int group = static_cast<int>(threadIdx.x) / kCombineColumns;
  // On their way while the factors are found.
  SumsOfSplits sums;
  sums.read(p, head, group, lane);
  const Factors own(p, head);
  if (threadIdx.x < kWarp) {
#pragma unroll
    for (int i = 0; i < kSplitsPerLane; ++i) factors[i * kWarp + threadIdx.x] = own.values[i];
  }
  __syncthreads();
  for (int column = lane; column < p.head_dim + lane; column += kCombineColumns) {
    float sum = 0;
    for (int begin = group; begin < p.splits; begin += SumsOfSplits::kStep) {
      if (column > lane || begin > group) sums.read(p, head, begin, column);
      sum = sums.add(sum, p, factors, begin);
    }
    parts[group][lane] = sum;
    __syncthreads();
    if (group == 0 && column < p.head_dim) {
      float total = 0;
#pragma unroll
      for (int i = 0; i < kCombineGroups; ++i) total += parts[i][lane];
      const float result[1] = {own.seen ? total / own.weight : 0.0f};
      store<1>(result, p.out, head * p.head_dim + column);
    }
    __syncthreads();
  }
}

struct Way {
  decltype(&plan_token_attention) plan;
  decltype(&launch_token_attention) launch;
};

// A problem as kernels see it, with the way that is planned for it.
struct Plan {
  AttentionProblem p;
  Way way;

  Plan(qutlass_stream& stream, Tensor q, Tensor k_cache, Tensor v_cache, Tensor positions, float scale,
       Tensor out);
  // Enqueues it.
  void launch(qutlass_stream& stream, std::initializer_list<const void*> operands);
};

Plan::Plan(qutlass_stream& stream, Tensor q, Tensor k_cache, Tensor v_cache, Tensor positions, float scale,
           Tensor out) {
  const int64_t tokens = q.shape[0], heads = q.shape[1], head_dim = q.shape[2];
  const int64_t capacity = k_cache.shape[0], kv_heads = k_cache.shape[1];
  if (head_dim > kMaxHeadDim) {
    fail(QUTLASS_E_UNSUPPORTED, "q: expected a head_dim of at most %d on a GPU, got shape %s", kMaxHeadDim,
         shape_text(q).c_str());
  }
  constexpr int kMost = std::numeric_limits<int32_t>::max() / 2;
  if (tokens * heads > kMost) {
    fail(QUTLASS_E_UNSUPPORTED, "q: expected at most %d heads in all on a GPU, got shape %s", kMost,
         shape_text(q).c_str());
  }
  if (capacity > kMost) {
    fail(QUTLASS_E_UNSUPPORTED, "k_cache: expected a capacity of at most %d on a GPU, got shape %s", kMost,
         shape_text(k_cache).c_str());
  }
  p = {.q = dense(q),
       .k_cache = dense(k_cache),
       .v_cache = dense(v_cache),
       .out = dense(out),
       .positions = static_cast<const int32_t*>(positions.data),
       .scale = scale,
       .tokens = tokens,
       .heads = static_cast<int>(heads),
       .kv_heads = static_cast<int>(kv_heads),
       .group = static_cast<int>(heads / kv_heads),
       .head_dim = static_cast<int>(head_dim),
       .capacity = static_cast<int>(capacity),
       .q_vectors = rows_are_vectors(q, head_dim),
       .k_vectors = rows_are_vectors(k_cache, head_dim),
       .v_vectors = rows_are_vectors(v_cache, head_dim),
       .k = {},
       .v = {},
       .inv_freq = nullptr,
       .splits = 1,
       .in_cluster = false,
       .partial_sums = nullptr,
       .partial_stats = nullptr};
  const CudaDevice& on = cuda_stream(stream).cuda_device();
  use_device(on.ordinal());  // plans ask what it can do
  const bool few = rows_of_kv_head(p) <= kMaxDecodeRows;
  way = is_token_attention(p) ? Way{plan_token_attention, launch_token_attention}
        : few                 ? Way{plan_decode_attention, launch_decode_attention}
                              : Way{plan_tile_attention, launch_tile_attention};
  way.plan(p, on.properties().multiProcessorCount);
}

void Plan::launch(qutlass_stream& stream, std::initializer_list<const void*> operands) {
  const int64_t rows = p.tokens * p.heads;
  const int64_t partials = p.splits > 1 && !p.in_cluster ? p.splits * rows : 0;
  const size_t stats_bytes = static_cast<size_t>(partials) * sizeof(float2);
  const DeviceScratch scratch(stream.device,
                              stats_bytes + static_cast<size_t>(partials * p.head_dim) * sizeof(float));
  if (partials) {
    p.partial_stats = scratch.as<float2>();
    p.partial_sums = reinterpret_cast<float*>(scratch.as<char>() + stats_bytes);
  }
  std::vector<const void*> touched(operands);
  touched.push_back(scratch.as<void>());
  CudaStream& cuda = cuda_stream(stream);
  const cudaDeviceProp& device = cuda.cuda_device().properties();
  cuda.run("attention", touched, [&](cudaStream_t s) {
    way.launch(p, device, s);
    if (!partials) return;
    launch_dependent(s, device, combine_kernel, {static_cast<unsigned>(rows), kCombineThreads}, p);
  });
}

}  // namespace

void choose_splits(AttentionProblem& p, int64_t blocks, int64_t wanted_blocks, int step) {
  const int64_t wanted = (wanted_blocks + blocks - 1) / blocks;
  const int64_t steps = (int64_t{p.capacity} + step - 1) / step;
  p.splits = static_cast<int>(std::min({wanted, steps, kMaxSplits}));
}

void attention(Stream stream, Tensor q, Tensor k_cache, Tensor v_cache, Tensor positions, float scale,
               Tensor out) {
  Plan(stream, q, k_cache, v_cache, positions, scale, out)
      .launch(stream, {q.data, k_cache.data, v_cache.data, positions.data, out.data});
}

void rope_attention(Stream stream, Tensor q, Tensor k, Tensor v, Tensor positions, Tensor inv_freq,
                    Tensor k_cache, Tensor v_cache, float scale, Tensor out) {
  Plan plan(stream, q, k_cache, v_cache, positions, scale, out);
  const auto fits = [&](Tensor x) { return x.dtype == QUTLASS_BF16 && rows_are_vectors(x, x.shape[2]); };
  if (can_append(plan.p) && fits(k) && fits(v)) {
    plan.p.k = dense(k);
    plan.p.v = dense(v);
    plan.p.inv_freq = static_cast<const float*>(inv_freq.data);
  } else {
    rope_append(stream, q, k, v, positions, inv_freq, k_cache, v_cache);
  }
  plan.launch(stream,
              {q.data, k.data, v.data, positions.data, inv_freq.data, k_cache.data, v_cache.data, out.data});
}

}  // namespace qutlass::cuda
