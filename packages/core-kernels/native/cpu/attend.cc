#include "cpu/attend_loops.h"
#include "cpu_features.h"

namespace qutlass {

const AttendLoops kGenericAttendLoops = {score, exponentiate, add_weighted};

const AttendLoops& attend_loops() {
  if (isa() >= Isa::kAvx512) return kAvx512AttendLoops;
  return isa() == Isa::kAvx2 ? kAvx2AttendLoops : kGenericAttendLoops;
}

}  // namespace qutlass
