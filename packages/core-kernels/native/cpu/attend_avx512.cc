#include "cpu/attend_loops.h"

namespace qutlass {

const AttendLoops kAvx512AttendLoops = {score, exponentiate, add_weighted};

}  // namespace qutlass
