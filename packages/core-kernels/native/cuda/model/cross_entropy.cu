// The cross entropy of logits against target classes: a block to a row, which is read once.
#include <cstdint>

#include "block_reduce.cuh"
#include "cuda/operations.h"
#include "cuda_stream.h"
#include "dense.cuh"

namespace qutlass::cuda {
namespace {

constexpr int kMaxThreads = 512;

// The largest value so far, and the sum of exp(value - largest).
struct LogSum {
  float largest;
  double sum;
};

// While every value is -infinity the shift is 0, which keeps their exponentials 0 and not NaN.
__device__ float shift_of(float largest) { return largest == -INFINITY ? 0.0f : largest; }

__device__ LogSum combine(LogSum a, LogSum b) {
  const float largest = fmaxf(a.largest, b.largest);
  const float shift = shift_of(largest);
  return {largest, a.sum * expf(a.largest - shift) + b.sum * expf(b.largest - shift)};
}

template <int V>
__device__ LogSum log_sum_of(const float (&values)[V]) {
  LogSum result{-INFINITY, 0};
#pragma unroll
  for (float value : values) result.largest = fmaxf(result.largest, value);
  const float shift = shift_of(result.largest);
#pragma unroll
  for (float value : values) result.sum += static_cast<double>(expf(value - shift));
  return result;
}

// A NaN makes the sum NaN, as does +infinity, and so the loss; a target that is no class does too.
template <int V>
__global__ void cross_entropy_kernel(Dense logits, int64_t classes, const int32_t* targets, float* out) {
  __shared__ LogSum of_warp[kWarp];
  const int64_t row = blockIdx.x;
  LogSum total{-INFINITY, 0};
  for (int64_t i = int64_t{threadIdx.x} * V; i < classes; i += int64_t{blockDim.x} * V) {
    float values[V];
    load<V>(logits, row * classes + i, values);
    total = combine(total, log_sum_of<V>(values));
  }
  const auto over_warp = [](LogSum value) {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
      const LogSum other{__shfl_xor_sync(0xFFFFFFFFu, value.largest, distance),
                         __shfl_xor_sync(0xFFFFFFFFu, value.sum, distance)};
      value = combine(value, other);
    }
    return value;
  };
  total = over_warp(total);
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = total;
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  total = over_warp(threadIdx.x < blockDim.x / kWarp ? of_warp[threadIdx.x] : LogSum{-INFINITY, 0});
  if (threadIdx.x != 0) return;
  const int64_t target = targets[row];
  if (target < 0 || target >= classes) {
    out[row] = __int_as_float(0x7FC00000);
    return;
  }
  const float chosen = load_element(logits, row * classes + target);
  out[row] =
      static_cast<float>(log(total.sum) + (static_cast<double>(total.largest) - static_cast<double>(chosen)));
}

}  // namespace

void cross_entropy(Stream stream, Tensor logits, Tensor targets, Tensor out) {
  const int64_t classes = logits.shape[1];
  const bool vectors = rows_are_vectors(logits, classes);
  const auto kernel = vectors ? cross_entropy_kernel<kVector> : cross_entropy_kernel<1>;
  const int threads = block_threads(vectors ? classes / kVector : classes, kMaxThreads);
  cuda_stream(stream).run("cross_entropy", {logits.data, targets.data, out.data}, [&](cudaStream_t s) {
    kernel<<<static_cast<unsigned>(logits.shape[0]), threads, 0, s>>>(
        dense(logits), classes, static_cast<const int32_t*>(targets.data), static_cast<float*>(out.data));
  });
}

}  // namespace qutlass::cuda
