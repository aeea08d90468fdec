// Appending keys or values to a cache: a block to a row.
#include <cstdint>

#include "block_reduce.cuh"
#include "cache_rows.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/operations.h"
#include "dense.cuh"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kMaxThreads = 256;

template <int V>
__global__ void kv_append_kernel(Dense x, const int32_t* positions, int64_t rows, int64_t width, Dense cache,
                                 int64_t capacity) {
  await_dependency();
  const int64_t row = blockIdx.x;
  const int64_t position = cache_row(positions, row, rows, capacity);
  if (position < 0) return;
  for (int64_t column = int64_t{threadIdx.x} * V; column < width; column += int64_t{blockDim.x} * V) {
    float values[V];
    load<V>(x, row * width + column, values);
    store<V>(values, cache, position * width + column);
  }
}

}  // namespace

void kv_append(Stream stream, Tensor x, Tensor positions, Tensor cache) {
  const int64_t rows = x.shape[0], width = x.shape[1] * x.shape[2];
  const bool vectors = rows_are_vectors(x, width) && rows_are_vectors(cache, width);
  const auto kernel = vectors ? kv_append_kernel<kVector> : kv_append_kernel<1>;
  const int threads = block_threads(vectors ? width / kVector : width, kMaxThreads);
  run_dependent(stream, "kv_append", {x.data, positions.data, cache.data}, kernel,
                {static_cast<unsigned>(rows), static_cast<unsigned>(threads)}, dense(x),
                static_cast<const int32_t*>(positions.data), rows, width, dense(cache), cache.shape[0]);
}

}  // namespace qutlass::cuda
