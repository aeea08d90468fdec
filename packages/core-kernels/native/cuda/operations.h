// The CUDA implementations of the operations, each in the .cu file of its family. Arguments are valid.
#pragma once

#include <cuda_runtime.h>

#include "runtime/operations.h"

namespace qutlass::cuda {

using Stream = Operations::Stream;
using Tensor = Operations::Tensor;

extern const Operations kOperations;

// Throws QUTLASS_E_NO_DEVICE unless this library holds kernels that the GPU can run.
void require_kernel_image(const cudaDeviceProp& properties);

// data/
void convert(Stream, Tensor x, Tensor out);
void transpose(Stream, Tensor x, Tensor out);
void pad(Stream, Tensor x, Tensor out);
void copy(Stream, const void* from, void* to, int64_t bytes);
void fill(Stream, int32_t value, void* data, int64_t bytes);
void fill_random(Stream, uint64_t seed, float deviation, Tensor out);
void checksum(Stream, Tensor x, Tensor out);

// quantize/, skinny/
void encode(Stream, Tensor x, int32_t element, Tensor out);
void decode(Stream, Tensor codes, int32_t element, Tensor out);
void pack4(Stream, Tensor codes, Tensor out);
void unpack4(Stream, Tensor packed, bool sign_extend, Tensor out);
void scales_to_blocked(Stream, Tensor scales, Tensor out);
void scales_from_blocked(Stream, Tensor blocked, Tensor out);
void global_scale(Stream, Tensor x, const qutlass_rotation&, const qutlass_format&, Tensor out);
void quantize(Stream, Tensor x, const qutlass_rotation&, const qutlass_rounding&, bool find_global_scale,
              const qutlass_quantized& out);
void quantize_transposed(Stream, const qutlass_operand& x, const qutlass_rotation&, const qutlass_rounding&,
                         bool find_global_scale, const qutlass_quantized& out);
void quantize_squares(Stream, Tensor x, const qutlass_rounding&, const qutlass_quantized& out,
                      void* column_scales);
void rms_norm_quantize(Stream, Tensor x, Tensor residual, Tensor weight, float eps, const qutlass_rotation&,
                       bool find_global_scale, const qutlass_quantized& out);
void silu_mul_quantize(Stream, Tensor gate, Tensor up, const qutlass_rotation&, bool find_global_scale,
                       const qutlass_quantized& out);
void dequantize(Stream, const qutlass_quantized&, const qutlass_rotation&, Tensor out);
int64_t tile_bytes(const qutlass_quantized&);
void tile(Stream, const qutlass_quantized&, void* out);
void rotate(Stream, Tensor x, const qutlass_rotation&, Tensor out);
void quantize_int8_with_scale(Stream, Tensor x, Tensor scale, Tensor out);

// gemm/
void matmul_experts(Stream, const qutlass_matmul_problem&, Tensor offsets);

// model/
void embedding(Stream, Tensor ids, Tensor table, Tensor out);
void rms_norm(Stream, Tensor x, Tensor residual, Tensor weight, float eps, Tensor out);
void rope(Stream, Tensor x, Tensor positions, Tensor inv_freq);
void kv_append(Stream, Tensor x, Tensor positions, Tensor cache);
void rope_append(Stream, Tensor q, Tensor k, Tensor v, Tensor positions, Tensor inv_freq, Tensor k_cache,
                 Tensor v_cache);
void attention(Stream, Tensor q, Tensor k_cache, Tensor v_cache, Tensor positions, float scale, Tensor out);
void rope_attention(Stream, Tensor q, Tensor k, Tensor v, Tensor positions, Tensor inv_freq, Tensor k_cache,
                    Tensor v_cache, float scale, Tensor out);
void silu_mul(Stream, Tensor gate, Tensor up, Tensor out);
void add(Stream, Tensor a, Tensor b, float scale, Tensor out);
void sample(Stream, Tensor logits, Tensor counters, const qutlass_sampling&, Tensor out);
void cross_entropy(Stream, Tensor logits, Tensor targets, Tensor out);

}  // namespace qutlass::cuda
