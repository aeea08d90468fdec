// silu(gate) * up of one element, for every kernel that has a use for it: equal bits.
#pragma once

namespace qutlass::cuda {

struct SiluMul {
  // gate / (1 + e^-gate) with a reciprocal within a unit in the last place (PTX ISA, "rcp.approx"), of a
  // quarter of the divisor so that it is not subnormal. A division would take as long as all the rest.
  __device__ float operator()(float gate, float up) const {
    float reciprocal;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(fmaf(expf(-gate), 0.25f, 0.25f)));
    return gate * (reciprocal * 0.25f) * up;
  }
};

}  // namespace qutlass::cuda
