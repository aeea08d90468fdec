#pragma once

#include "numerics/elements.h"

namespace qutlass::cuda {

// kNf4 where lanes can look up different codes at once.
__device__ const float kNf4Values[] = {
    kNf4[0], kNf4[1], kNf4[2],  kNf4[3],  kNf4[4],  kNf4[5],  kNf4[6],  kNf4[7],
    kNf4[8], kNf4[9], kNf4[10], kNf4[11], kNf4[12], kNf4[13], kNf4[14], kNf4[15],
};

}  // namespace qutlass::cuda
