// What the quantizing kernels share.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "cuda/quantize/encode.cuh"
#include "cuda/quantize/group.cuh"
#include "cuda/quantize/input.cuh"
#include "cuda/quantize/random.cuh"
#include "cuda/quantize/ranges.h"
#include "cuda/quantize/rotation.cuh"
#include "cuda/quantize/span.cuh"
#include "cuda_stream.h"
#include "qutlass.h"

namespace qutlass::cuda {

// Input: input.cuh
template <typename Input>
struct QuantizeJob {
  Input in;
  qutlass_rotation rotation;  // not one that takes a copy
  qutlass_rounding rounding;
  qutlass_quantized out;
  bool find_global_scale;
};

// visit(std::bool_constant): whether it is stochastic. Each of the two has kernels of its own.
template <typename Visit>
void with_rounding(const qutlass_rounding& rounding, const Visit& visit) {
  if (rounding.kind == QUTLASS_ROUNDING_STOCHASTIC) return visit(std::true_type());
  visit(std::false_type());
}

// As with_rotation; inputs that operations make are read as they are, or rotated within a warp.
template <typename Input, typename Visit>
void with_input_rotation(const qutlass_rotation& rotation, const Visit& visit) {
  if constexpr (std::is_same_v<Input, DenseInput>) {
    with_rotation(rotation, visit);
  } else if (rotate_by(rotation) == RotateBy::kLanes) {
    visit(std::integral_constant<RotateBy, RotateBy::kLanes>());
  } else {
    visit(std::integral_constant<RotateBy, RotateBy::kNothing>());
  }
}

// Groups of 16 to 128 elements of a row. Zeroes the padding of the scales too.
template <bool kStochastic>
void enqueue_short_groups(CudaStream& s, const QuantizeJob<DenseInput>& job);
// Whether it can find the global scale that the format has.
bool short_groups_find_scale(const qutlass_rotation& rotation, const qutlass_quantized& out);

// Squares of 128 x 128.
template <bool kStochastic>
void enqueue_squares(CudaStream& s, const QuantizeJob<DenseInput>& job);

// Groups that follow each other, rows or a whole matrix. Each of them in one thread block,
bool group_fits_block(const qutlass_rotation& rotation, int64_t elements);
template <bool kStochastic>
void enqueue_block_groups(CudaStream& s, const QuantizeJob<DenseInput>& job, const LongGroups& groups);
// or in several, with their ranges, of enqueue_partial_ranges.
template <bool kStochastic>
void enqueue_long_groups(CudaStream& s, const QuantizeJob<DenseInput>& job, const LongGroups& groups,
                         const GroupRange* partial);

__device__ inline float load_global_scale(const qutlass_quantized& out) {
  return out.global_scale ? *out.global_scale : 1.0f;
}

}  // namespace qutlass::cuda
