// Rotary position embedding in place, with the pairs (i, i + head_dim / 2), alone or with the caches that
// keys and values go to. A thread keeps the sines of its pairs and walks over the heads of a token.
#include <algorithm>
#include <cstdint>

#include "cache_rows.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/operations.h"
#include "dense.cuh"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int64_t kMaxGridY = 65535;

struct Rope {
  Dense q;  // [tokens, heads, 2 * half]
  Dense k;  // [tokens, kv_heads, 2 * half], as v
  Dense v;
  Dense k_cache;  // [capacity, kv_heads, 2 * half], as v_cache
  Dense v_cache;
  const int32_t* positions;
  const float* inv_freq;
  int64_t heads, kv_heads, half, capacity;
};

// A vector of the first half of a head, and the one in the second half that it is paired with.
template <int V>
struct Pairs {
  float first[V], second[V];

  __device__ void load(const Dense& x, int64_t offset, int64_t half) {
    const Fetched<V> of_first(x, offset), of_second(x, offset + half);
    of_first.decode(first);
    of_second.decode(second);
  }
  __device__ void store(const Dense& x, int64_t offset, int64_t half) const {
    cuda::store<V>(first, x, offset);
    cuda::store<V>(second, x, offset + half);
  }
  __device__ void rotate(const float (&cosine)[V], const float (&sine)[V]) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float x = first[i], y = second[i];
      first[i] = x * cosine[i] - y * sine[i];
      second[i] = y * cosine[i] + x * sine[i];
    }
  }
  // As a tensor of this type holds them.
  __device__ void round(int32_t dtype) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      first[i] = round_to(first[i], dtype);
      second[i] = round_to(second[i], dtype);
    }
  }
};

// Threads of a block: x over vectors of pairs, y over heads: those of q, k and v. Grid: x over tokens, y over
// blocks of heads.
template <int V>
__global__ void rope_kernel(const __grid_constant__ Rope p) {
  await_dependency();
  const int64_t token = blockIdx.x;
  const float position = static_cast<float>(p.positions[token]);
  const int64_t row = p.kv_heads ? cache_row(p.positions, token, gridDim.x, p.capacity) : -1;
  const int64_t head_step = int64_t{gridDim.y} * blockDim.y;
  for (int64_t pair = int64_t{threadIdx.x} * V; pair < p.half; pair += int64_t{blockDim.x} * V) {
    float cosine[V], sine[V];
#pragma unroll
    for (int i = 0; i < V; ++i) sincosf(position * p.inv_freq[pair + i], &sine[i], &cosine[i]);
    for (int64_t head = int64_t{blockIdx.y} * blockDim.y + threadIdx.y; head < p.heads + 2 * p.kv_heads;
         head += head_step) {
      Pairs<V> pairs;
      if (head < p.heads) {
        const int64_t offset = (token * p.heads + head) * 2 * p.half + pair;
        pairs.load(p.q, offset, p.half);
        pairs.rotate(cosine, sine);
        pairs.store(p.q, offset, p.half);
        continue;
      }
      const bool is_key = head < p.heads + p.kv_heads;
      const int64_t kv_head = head - p.heads - (is_key ? 0 : p.kv_heads);
      const int64_t offset = (token * p.kv_heads + kv_head) * 2 * p.half + pair;
      pairs.load(is_key ? p.k : p.v, offset, p.half);
      if (is_key) {
        pairs.rotate(cosine, sine);
        pairs.store(p.k, offset, p.half);
        pairs.round(p.k.dtype);
      }
      if (row < 0) continue;
      pairs.store(is_key ? p.k_cache : p.v_cache, (row * p.kv_heads + kv_head) * 2 * p.half + pair, p.half);
    }
  }
}

void run_rope(const char* operation, Stream stream, const Rope& p, int64_t tokens, bool vectors) {
  const int64_t heads = p.heads + 2 * p.kv_heads;
  const int64_t pairs = std::min<int64_t>(vectors ? p.half / kVector : p.half, kThreads);
  const dim3 block(static_cast<unsigned>(pairs),
                   static_cast<unsigned>(std::min<int64_t>(kThreads / pairs, heads)));
  // Blocks of one head to each thread while tokens are few; of more when tokens alone fill the device.
  const int64_t spread = std::clamp<int64_t>(8192 / tokens, 1, kMaxGridY);
  const dim3 grid(static_cast<unsigned>(tokens),
                  static_cast<unsigned>(std::min<int64_t>((heads + block.y - 1) / block.y, spread)));
  run_dependent(stream, operation,
                {p.q.data, p.k.data, p.v.data, p.k_cache.data, p.v_cache.data, p.positions, p.inv_freq},
                vectors ? rope_kernel<kVector> : rope_kernel<1>, {grid, block}, p);
}

}  // namespace

void rope(Stream stream, Tensor x, Tensor positions, Tensor inv_freq) {
  Rope p{};
  p.q = dense(x);
  p.positions = static_cast<const int32_t*>(positions.data);
  p.inv_freq = static_cast<const float*>(inv_freq.data);
  p.heads = x.shape[1];
  p.half = x.shape[2] / 2;
  run_rope("rope", stream, p, x.shape[0], rows_are_vectors(x, p.half));
}

void rope_append(Stream stream, Tensor q, Tensor k, Tensor v, Tensor positions, Tensor inv_freq,
                 Tensor k_cache, Tensor v_cache) {
  const Rope p{.q = dense(q),
               .k = dense(k),
               .v = dense(v),
               .k_cache = dense(k_cache),
               .v_cache = dense(v_cache),
               .positions = static_cast<const int32_t*>(positions.data),
               .inv_freq = static_cast<const float*>(inv_freq.data),
               .heads = q.shape[1],
               .kv_heads = k.shape[1],
               .half = q.shape[2] / 2,
               .capacity = k_cache.shape[0]};
  const auto is_vectors = [&](Tensor x) { return rows_are_vectors(x, p.half); };
  const bool vectors =
      is_vectors(q) && is_vectors(k) && is_vectors(v) && is_vectors(k_cache) && is_vectors(v_cache);
  run_rope("rope_append", stream, p, q.shape[0], vectors);
}

}  // namespace qutlass::cuda
