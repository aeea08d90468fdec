// Rows of an embedding table: a block to a row.
#include <cstdint>

#include "block_reduce.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/operations.h"
#include "dense.cuh"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kMaxThreads = 256;

template <int V>
__global__ void embedding_kernel(const int32_t* ids, Dense table, int64_t vocabulary, int64_t width,
                                 Dense out) {
  await_dependency();
  const int64_t row = blockIdx.x;
  const int64_t id = ids[row];
  const bool known = id >= 0 && id < vocabulary;
  for (int64_t column = int64_t{threadIdx.x} * V; column < width; column += int64_t{blockDim.x} * V) {
    float values[V];
    if (known) {
      load<V>(table, id * width + column, values);
    } else {
#pragma unroll
      for (float& value : values) value = __int_as_float(0x7FC00000);
    }
    store<V>(values, out, row * width + column);
  }
}

}  // namespace

void embedding(Stream stream, Tensor ids, Tensor table, Tensor out) {
  const int64_t width = table.shape[1];
  const bool vectors = rows_are_vectors(table, width) && rows_are_vectors(out, width);
  const auto kernel = vectors ? embedding_kernel<kVector> : embedding_kernel<1>;
  const int threads = block_threads(vectors ? width / kVector : width, kMaxThreads);
  run_dependent(stream, "embedding", {ids.data, table.data, out.data}, kernel,
                {static_cast<unsigned>(ids.shape[0]), static_cast<unsigned>(threads)},
                static_cast<const int32_t*>(ids.data), dense(table), table.shape[0], width, dense(out));
}

}  // namespace qutlass::cuda
