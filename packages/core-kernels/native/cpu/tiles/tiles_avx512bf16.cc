// Products with tiles on AVX-512 with dot products of bf16 pairs.
#include "cpu/tiles/avx512bf16.h"
#include "cpu/tiles/decode.h"
#include "cpu/tiles/rows.h"
#include "cpu/tiles/select.h"

namespace qutlass {

const TileKernels kAvx512Bf16TileKernels = {Avx512Pairs::kTiles,
                                            Avx512Pairs::kMatrixRows,
                                            rows<Avx512Pairs>,
                                            find<Avx512Pairs>,
                                            64,
                                            find_decode<Avx512Pairs>,
                                            int8_scale,
                                            round,
                                            correct,
                                            finish};

}  // namespace qutlass
