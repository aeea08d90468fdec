// What the quantizing kernels share.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/quantize/group.cuh"
#include "cuda/quantize/rotation.cuh"
#include "cuda/quantize/span.cuh"
#include "qutlass.h"

namespace qutlass::cuda {

struct QuantizeJob {
  qutlass_tensor x;
  qutlass_rotation rotation;  // not one that takes a copy
  qutlass_quantized out;
};

// Groups of 16 to 128 elements of a row.
void enqueue_short_groups(cudaStream_t s, const QuantizeJob& job);

// Groups that fill a thread block.
bool row_fits_block(const QuantizeJob& job);
void enqueue_rows(cudaStream_t s, const QuantizeJob& job);
void enqueue_squares(cudaStream_t s, const QuantizeJob& job);
// Groups of `elements` that follow each other, with scales that are known.
void enqueue_long_groups(cudaStream_t s, const QuantizeJob& job, int64_t elements, const GroupScale* scales);

__device__ inline float load_global_scale(const qutlass_quantized& out) {
  return out.global_scale ? *out.global_scale : 1.0f;
}

__device__ inline void store_codes(const qutlass_quantized& out, int64_t offset, int count, uint64_t codes) {
  auto* to = static_cast<uint8_t*>(out.codes);
  if (element_storage_bits(out.format.element) == 4) {
    store_bytes(to + offset / 2, count / 2, pack_nibbles(codes));
  } else {
    store_bytes(to + offset, count, codes);
  }
}

}  // namespace qutlass::cuda
