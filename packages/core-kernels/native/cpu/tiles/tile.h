// A quantized matrix in rows to tiles, once for a weight.
#pragma once

#include "cpu/tiles/layout.h"
#include "device.h"
#include "qutlass.h"

namespace qutlass {

// `out` has tile_bytes(q), of layout.h.
void write_tiles(Context& context, const qutlass_quantized& q, void* out);

}  // namespace qutlass
