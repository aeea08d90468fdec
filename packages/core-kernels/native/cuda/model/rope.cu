// Rotary position embedding in place, with the pairs (i, i + head_dim / 2). A thread keeps the sines of its
// pairs and walks over the heads.
#include <algorithm>
#include <cstdint>

#include "cuda/operations.h"
#include "cuda_stream.h"
#include "dense.cuh"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int64_t kMaxGridY = 65535;

// Threads of a block: x over vectors of pairs, y over heads. Grid: x over tokens, y over blocks of heads.
template <int V>
__global__ void rope_kernel(Dense x, const int32_t* positions, const float* inv_freq, int64_t heads,
                            int64_t half) {
  const int64_t token = blockIdx.x;
  const float position = static_cast<float>(positions[token]);
  for (int64_t pair = int64_t{threadIdx.x} * V; pair < half; pair += int64_t{blockDim.x} * V) {
    float cosine[V], sine[V];
#pragma unroll
    for (int i = 0; i < V; ++i) sincosf(position * inv_freq[pair + i], &sine[i], &cosine[i]);
    const int64_t head_step = int64_t{gridDim.y} * blockDim.y;
    for (int64_t head = int64_t{blockIdx.y} * blockDim.y + threadIdx.y; head < heads; head += head_step) {
      const int64_t offset = (token * heads + head) * 2 * half + pair;
      float first[V], second[V], rotated_first[V], rotated_second[V];
      load<V>(x, offset, first);
      load<V>(x, offset + half, second);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        rotated_first[i] = first[i] * cosine[i] - second[i] * sine[i];
        rotated_second[i] = second[i] * cosine[i] + first[i] * sine[i];
      }
      store<V>(rotated_first, x, offset);
      store<V>(rotated_second, x, offset + half);
    }
  }
}

}  // namespace

void rope(Stream stream, Tensor x, Tensor positions, Tensor inv_freq) {
  const int64_t tokens = x.shape[0], heads = x.shape[1], half = x.shape[2] / 2;
  const bool vectors = rows_are_vectors(x, half);
  const auto kernel = vectors ? rope_kernel<kVector> : rope_kernel<1>;
  const int64_t pairs = std::min<int64_t>(vectors ? half / kVector : half, kThreads);
  const dim3 block(static_cast<unsigned>(pairs),
                   static_cast<unsigned>(std::min<int64_t>(kThreads / pairs, heads)));
  // Blocks of one head to each thread while tokens are few; of more when tokens alone fill the device.
  const int64_t spread = std::clamp<int64_t>(8192 / tokens, 1, kMaxGridY);
  const dim3 grid(static_cast<unsigned>(tokens),
                  static_cast<unsigned>(std::min<int64_t>((heads + block.y - 1) / block.y, spread)));
  cuda_stream(stream).run("rope", {x.data, positions.data, inv_freq.data}, [&](cudaStream_t s) {
    kernel<<<grid, block, 0, s>>>(dense(x), static_cast<const int32_t*>(positions.data),
                                  static_cast<const float*>(inv_freq.data), heads, half);
  });
}

}  // namespace qutlass::cuda
