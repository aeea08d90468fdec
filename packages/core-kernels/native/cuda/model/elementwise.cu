// Operations on tensors of one shape, element by element.
#include <cstdint>

#include "check.h"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/operations.h"
#include "dense.cuh"
#include "launch.h"
#include "silu_mul.cuh"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256;

struct ScaledAdd {
  float scale;
  __device__ float operator()(float a, float b) const { return a + scale * b; }
};

template <int V, typename Function>
__device__ void map(Dense a, Dense b, Dense out, int64_t offset, Function function) {
  const Fetched<V> of_a(a, offset), of_b(b, offset);
  float left[V], right[V], result[V];
  of_a.decode(left);
  of_b.decode(right);
#pragma unroll
  for (int i = 0; i < V; ++i) result[i] = function(left[i], right[i]);
  store<V>(result, out, offset);
}

// A vector to each thread; the last threads take the elements that are left one by one.
template <typename Function>
__global__ void map_kernel(Dense a, Dense b, Dense out, int64_t vectors, int64_t count, Function function) {
  await_dependency();
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index < vectors) {
    map<kVector>(a, b, out, index * kVector, function);
    return;
  }
  const int64_t single = vectors * kVector + index - vectors;
  if (single < count) map<1>(a, b, out, single, function);
}

template <typename Function>
void enqueue_map(const char* operation, Stream stream, Tensor a, Tensor b, Tensor out, Function function) {
  const int64_t count = element_count(out);
  const bool aligned =
      rows_are_aligned(a, kVector) && rows_are_aligned(b, kVector) && rows_are_aligned(out, kVector);
  const int64_t vectors = aligned ? count / kVector : 0;
  const int64_t threads = vectors + (count - vectors * kVector);
  run_dependent(stream, operation, {a.data, b.data, out.data}, map_kernel<Function>,
                {static_cast<unsigned>((threads + kThreads - 1) / kThreads), kThreads}, dense(a), dense(b),
                dense(out), vectors, count, function);
}

}  // namespace

void silu_mul(Stream stream, Tensor gate, Tensor up, Tensor out) {
  enqueue_map("silu_mul", stream, gate, up, out, SiluMul{});
}

void add(Stream stream, Tensor a, Tensor b, float scale, Tensor out) {
  enqueue_map("add", stream, a, b, out, ScaledAdd{scale});
}

}  // namespace qutlass::cuda
