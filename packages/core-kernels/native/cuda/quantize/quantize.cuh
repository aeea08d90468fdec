// What the quantizing kernels share.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/quantize/encode.cuh"
#include "cuda/quantize/group.cuh"
#include "cuda/quantize/ranges.h"
#include "cuda/quantize/rotation.cuh"
#include "cuda/quantize/span.cuh"
#include "qutlass.h"

namespace qutlass::cuda {

struct QuantizeJob {
  qutlass_tensor x;
  qutlass_rotation rotation;  // not one that takes a copy
  qutlass_quantized out;
};

// Groups of 16 to 128 elements of a row. Zeroes the padding of the scales too.
void enqueue_short_groups(cudaStream_t s, const QuantizeJob& job);

// Squares of 128 x 128.
void enqueue_squares(cudaStream_t s, const QuantizeJob& job);

// Groups that follow each other, rows or a whole matrix. Each of them in one thread block,
bool group_fits_block(const qutlass_rotation& rotation, int64_t elements);
void enqueue_block_groups(cudaStream_t s, const QuantizeJob& job, const LongGroups& groups);
// or in several, with their ranges, of enqueue_partial_ranges.
void enqueue_long_groups(cudaStream_t s, const QuantizeJob& job, const LongGroups& groups,
                         const GroupRange* partial);

__device__ inline float load_global_scale(const qutlass_quantized& out) {
  return out.global_scale ? *out.global_scale : 1.0f;
}

}  // namespace qutlass::cuda
