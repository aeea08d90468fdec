#include "cuda/operations.h"

namespace qutlass::cuda {

const Operations kOperations = {
    .convert = convert,
    .transpose = transpose,
    .pad = pad,
    .copy = copy,
    .fill = fill,
    .fill_random = fill_random,
    .checksum = checksum,
    .encode = encode,
    .decode = decode,
    .pack4 = pack4,
    .unpack4 = unpack4,
    .scales_to_blocked = scales_to_blocked,
    .scales_from_blocked = scales_from_blocked,
    .global_scale = global_scale,
    .quantize = quantize,
    .quantize_transposed = quantize_transposed,
    .quantize_squares = quantize_squares,
    .rms_norm_quantize = rms_norm_quantize,
    .silu_mul_quantize = silu_mul_quantize,
    .dequantize = dequantize,
    .tile_bytes = tile_bytes,
    .tile = tile,
    .rotate = rotate,
    .quantize_int8_with_scale = quantize_int8_with_scale,
    .matmul_experts = matmul_experts,
    .embedding = embedding,
    .rms_norm = rms_norm,
    .rope = rope,
    .kv_append = kv_append,
    .rope_append = rope_append,
    .attention = attention,
    .silu_mul = silu_mul,
    .add = add,
    .sample = sample,
    .cross_entropy = cross_entropy,
    .rope_attention = rope_attention,
};

}  // namespace qutlass::cuda
