#include "cpu/attend_loops.h"
#include "cpu_features.h"

namespace qutlass {

const AttendLoops kGenericAttendLoops = {score, exponentiate, add_weighted};

const AttendLoops& attend_loops() {
  switch (isa()) {
    case Isa::kAvx512: return kAvx512AttendLoops;
    case Isa::kAvx2: return kAvx2AttendLoops;
    default: return kGenericAttendLoops;
  }
}

}  // namespace qutlass
