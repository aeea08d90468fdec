// Tensors filled with one byte or with random numbers, and the checksum of a tensor, which doubles as the
// measure of how fast memory can be read.
#include <algorithm>

#include "check.h"
#include "cuda/data/chunk.cuh"
#include "cuda/operations.h"
#include "cuda_stream.h"
#include "numerics/random.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    random_bell_kernel(uint64_t seed, float factor, void* out, int32_t dtype, int64_t count) {
  const int64_t step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step)
    store_dense(out, dtype, i, random_bell(seed, i, factor));
}

__global__ void __launch_bounds__(kThreads) random_bytes_kernel(uint64_t seed, uint8_t* out, int64_t bytes) {
  const int64_t step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; 16 * i < bytes; i += step) {
    const auto words = random_words(seed, i);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int64_t offset = 16 * i + 8 * j;
      const int count = static_cast<int>(max(int64_t{0}, min(int64_t{8}, bytes - offset)));
      store_bytes(out + offset, count, words[2 * j] | static_cast<uint64_t>(words[2 * j + 1]) << 32);
    }
  }
}

__device__ uint32_t rotated(uint32_t word, int64_t index) {
  return __funnelshift_l(word, word, static_cast<uint32_t>(index & 31));
}

// Adds to *out, by exclusive or, whose order does not matter.
__global__ void __launch_bounds__(kThreads) checksum_kernel(const uint8_t* x, int64_t bytes, uint32_t* out) {
  constexpr int kUnroll = 4;
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t threads = int64_t{gridDim.x} * kThreads;
  const int64_t units = is_aligned<16>(x) ? bytes / 16 : 0;
  const auto* vectors = reinterpret_cast<const uint4*>(x);
  uint32_t sum = 0;
  const auto add = [&](const uint4& v, int64_t unit) {
    sum ^= rotated(v.x, 4 * unit) ^ rotated(v.y, 4 * unit + 1) ^ rotated(v.z, 4 * unit + 2) ^
           rotated(v.w, 4 * unit + 3);
  };
  int64_t unit = thread;
  for (; unit + (kUnroll - 1) * threads < units; unit += kUnroll * threads) {
    uint4 loaded[kUnroll];
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) loaded[i] = __ldcs(vectors + unit + i * threads);
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) add(loaded[i], unit + i * threads);
  }
  for (; unit < units; unit += threads) add(__ldcs(vectors + unit), unit);
  for (int64_t word = 4 * units + thread; 4 * word < bytes; word += threads) {
    const int count = static_cast<int>(min(int64_t{4}, bytes - 4 * word));
    sum ^= rotated(static_cast<uint32_t>(load_bytes(x + 4 * word, count)), word);
  }
  sum = __reduce_xor_sync(0xFFFFFFFFu, sum);
  if (threadIdx.x % 32 == 0 && sum != 0) atomicXor(out, sum);
}

// Enough threads for every multiprocessor to have its memory requests in flight.
unsigned grid_for(const CudaStream& stream, int64_t items) {
  const int64_t full = int64_t{stream.cuda_device().properties().multiProcessorCount} * 8;
  return static_cast<unsigned>(std::clamp<int64_t>(ceil_div(items, kThreads), 1, full));
}

}  // namespace

void fill(Stream stream, int32_t value, void* data, int64_t bytes) {
  cuda_stream(stream).run("fill", {data}, [&](cudaStream_t s) {
    check(cudaMemsetAsync(data, value, static_cast<size_t>(bytes), s), "fill");
  });
}

void fill_random(Stream stream, uint64_t seed, float deviation, Tensor out) {
  const int64_t count = element_count(out);
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("fill_random", {out.data}, [&](cudaStream_t s) {
    if (is_float(out.dtype)) {
      random_bell_kernel<<<grid_for(cuda, count), kThreads, 0, s>>>(seed, bell_factor(deviation), out.data,
                                                                    out.dtype, count);
    } else {
      const int64_t bytes = count * dtype_bytes(out.dtype);
      random_bytes_kernel<<<grid_for(cuda, ceil_div(bytes, 16)), kThreads, 0, s>>>(
          seed, static_cast<uint8_t*>(out.data), bytes);
    }
  });
}

void checksum(Stream stream, Tensor x, Tensor out) {
  const int64_t bytes = element_count(x) * dtype_bytes(x.dtype);
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("checksum", {x.data, out.data}, [&](cudaStream_t s) {
    check(cudaMemsetAsync(out.data, 0, sizeof(uint32_t), s), "checksum");
    checksum_kernel<<<grid_for(cuda, ceil_div(bytes, 16)), kThreads, 0, s>>>(
        static_cast<const uint8_t*>(x.data), bytes, static_cast<uint32_t*>(out.data));
  });
}

}  // namespace qutlass::cuda
