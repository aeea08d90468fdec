// Products of a dense A with a B that has tiles.
#pragma once

#include "cpu/tiles/kernels.h"
#include "device.h"
#include "qutlass.h"

namespace qutlass {

// Throws QUTLASS_E_UNSUPPORTED unless A is dense and B has tiles.
void require_tiles(const qutlass_matmul_problem& problem);
// Throws QUTLASS_E_UNSUPPORTED besides unless the problem allows int8 for A and the tiles have codes for it.
void require_int8_tiles(const qutlass_matmul_problem& problem);

void matmul_tiles_f32(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels);
// A is rounded to int8 in groups along K.
void matmul_tiles_int8(Context& context, const qutlass_matmul_problem& problem, const TileKernels& kernels);

}  // namespace qutlass
