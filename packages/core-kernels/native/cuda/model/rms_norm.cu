// Root mean square normalization with the residual addition before it: a block to a row, which stays in
// registers between the sum of squares and the result.
#include <cstdint>

#include "block_reduce.cuh"
#include "check.h"
#include "cuda/atoms/async_copy.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/operations.h"
#include "dense.cuh"
#include "launch.h"
#include "rms_norm.cuh"

namespace qutlass::cuda {
namespace {

constexpr int kMaxThreads = 1024;
// Vectors that a thread keeps: rows of 16384 elements of 16 bits, or 4096 that cannot be read as vectors.
// What is left of longer rows is read a second time.
constexpr int kHeld = 2;
constexpr int kHeldSingles = 4;
// Rows up to which blocks rehearse, if a thread has no more than a vector, and there is something to wait
// for.
constexpr int64_t kRehearsedRows = 16;

struct RmsNorm {
  Dense x;
  Dense residual;
  Dense weight;
  Dense out;
  int64_t width;
  float eps;
};

// What a rehearsal reads and writes; nobody looks at it.
__device__ uint4 rehearsal[2];

// The same work on that.
__device__ RmsNorm rehearsal_of(RmsNorm p) {
  p.x.data = p.weight.data = p.out.data = rehearsal;
  if (p.residual.data) p.residual.data = rehearsal;
  return p;
}

// A vector of x, that of the residual, and, for the end, of the weight, all on their way at once. The
// normalization reads the float32 sum, not its rounded copy in the residual, so a vector that is read twice
// is added twice, and the copy written the second time.
template <int V>
__device__ void load_sum(const RmsNorm& p, int64_t offset, int64_t column, float (&values)[V],
                         float (&gain)[V]) {
  const Fetched<V> x(p.x, offset), weight(p.weight, column);
  // With no residual, x again.
  const Fetched<V> residual(p.residual.data ? p.residual : p.x, offset);
  x.decode(values);
  weight.decode(gain);
  if (!p.residual.data) return;
  float carried[V];
  residual.decode(carried);
#pragma unroll
  for (int i = 0; i < V; ++i) values[i] += carried[i];
}

template <int V>
__device__ void store_normalized(const RmsNorm& p, int64_t offset, float factor, const float (&gain)[V],
                                 float (&values)[V]) {
  if (p.residual.data) store<V>(values, p.residual, offset);
#pragma unroll
  for (int i = 0; i < V; ++i) values[i] = values[i] * factor * gain[i];
  store<V>(values, p.out, offset);
}

// A few rows are a few blocks, each of which finds little of this code in the caches of its multiprocessor,
// where a stream of weights comes by before and after: fetching it takes longer than the work. So while it
// waits, a block goes through the work once on nothing, and asks for the weights.
template <int V, int Held, bool kRehearses>
__global__ void __launch_bounds__(kMaxThreads) rms_norm_kernel(const __grid_constant__ RmsNorm given) {
  const int64_t width = given.width, step = int64_t{blockDim.x} * V, first = int64_t{threadIdx.x} * V;
  const int64_t rest = kRehearses ? width : first + Held * step;
  launch_dependents();
  if (kRehearses && first < width) {
    prefetch_l2(static_cast<const uint8_t*>(given.weight.data) + first * dense_bytes(given.weight.dtype));
  }
#pragma unroll 1
  for (int left = kRehearses ? 1 : 0; left >= 0; --left) {
    const bool real = left == 0;
    if (real) wait_for_dependency();
    const RmsNorm p = real ? given : rehearsal_of(given);
    const auto at = [&](int64_t column) { return real ? column : 0; };
    const int64_t row = at(blockIdx.x * width);
    float held[Held][V], gains[Held][V];
    float sum = 0;
#pragma unroll
    for (int j = 0; j < Held; ++j) {
      const int64_t column = first + j * step;
      if (column >= width) continue;
      load_sum<V>(p, row + at(column), at(column), held[j], gains[j]);
      sum = add_squares<V>(held[j], sum);
    }
    for (int64_t column = rest; column < width; column += step) {
      float values[V], gain[V];
      load_sum<V>(p, row + at(column), at(column), values, gain);
      sum = add_squares<V>(values, sum);
    }
    sum = block_reduce(sum, 0.0f, [](float a, float b) { return a + b; });
    const float factor = rms_factor(sum, width, p.eps);
#pragma unroll
    for (int j = 0; j < Held; ++j) {
      const int64_t column = first + j * step;
      if (column < width) store_normalized<V>(p, row + at(column), factor, gains[j], held[j]);
    }
    for (int64_t column = rest; column < width; column += step) {
      float values[V], gain[V];
      load_sum<V>(p, row + at(column), at(column), values, gain);
      store_normalized<V>(p, row + at(column), factor, gain, values);
    }
  }
}

}  // namespace

void rms_norm(Stream stream, Tensor x, Tensor residual, Tensor weight, float eps, Tensor out) {
  const int64_t width = weight.shape[0];
  const int64_t rows = element_count(x) / width;
  const bool vectors = rows_are_vectors(x, width) && rows_are_vectors(residual, width) &&
                       rows_are_vectors(weight, width) && rows_are_vectors(out, width);
  const int64_t parts = vectors ? width / kVector : width;
  const bool waits = cuda_stream(stream).cuda_device().properties().major >= 9;
  const bool rehearses = waits && rows <= kRehearsedRows && parts <= kMaxThreads;
  const auto kernel = !vectors    ? rms_norm_kernel<1, kHeldSingles, false>
                      : rehearses ? rms_norm_kernel<kVector, 1, true>
                                  : rms_norm_kernel<kVector, kHeld, false>;
  const int threads = block_threads(parts, kMaxThreads);
  run_dependent(stream, "rms_norm", {x.data, residual.data, weight.data, out.data}, kernel,
                {static_cast<unsigned>(rows), static_cast<unsigned>(threads)},
                {dense(x), dense(residual), dense(weight), dense(out), width, eps});
}

}  // namespace qutlass::cuda
