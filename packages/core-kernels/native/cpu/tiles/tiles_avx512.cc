// Products with tiles on AVX-512 with VNNI and VBMI.
#include "cpu/tiles/avx512.h"
#include "cpu/tiles/decode.h"
#include "cpu/tiles/rows.h"
#include "cpu/tiles/select.h"

namespace qutlass {

const TileKernels kAvx512TileKernels = {
    Avx512::kTiles,      Avx512::kMatrixRows, rows<Avx512>, find<Avx512>, 64,
    find_decode<Avx512>, int8_scale,          round,        correct,      finish};

}  // namespace qutlass
