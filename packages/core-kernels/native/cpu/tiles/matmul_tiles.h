// Products with a B that has tiles.
#pragma once

#include "cpu/tiles/kernels.h"
#include "device.h"
#include "qutlass.h"

namespace qutlass {

// These throw QUTLASS_E_UNSUPPORTED unless B has tiles, and A is
// - dense, or in fp8, mxfp8 or mxfp4 with values that float32 holds, but for the scale of a whole row;
void require_tiles(const qutlass_matmul_problem& problem);
// - the same with values that bf16 holds, as those of B do;
void require_bf16_tiles(const qutlass_matmul_problem& problem);
// - dense, may be rounded to int8, and B has codes for that; or both are mxfp4 or nvfp4;
void require_int8_tiles(const qutlass_matmul_problem& problem);
// - int8 or int4 with a scale for whole rows, beside a B of int8 or int4.
void require_integer_tiles(const qutlass_matmul_problem& problem);

void matmul_tiles_f32(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels);
// In float32 where A has numbers whose products could be subnormal.
void matmul_tiles_bf16(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels);
// A dense A is rounded to int8 in groups along K, or by rows if B has one scale for each of its rows.
void matmul_tiles_int8(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels);
// With exact sums.
void matmul_tiles_i32(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels);

}  // namespace qutlass
