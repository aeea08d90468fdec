// What the rows that the kernels of this folder multiply are made of.
#pragma once

#include "cuda/gemm/operand.cuh"
#include "cuda/quantize/sylvester.cuh"

namespace qutlass::cuda {

struct RowSource {
  Operand a;
  // Of a dense one: a Hadamard rotation of at most kLanesSize columns if its size is not 0, and the format
  // that it is quantized to after that unless `codes`, the kind of its codes, is a dense one.
  Rotation rotation;
  qutlass_format format;
  Kind codes;
  // Scales of whole rows stay out of the values.
  bool has_row_factors;
};

}  // namespace qutlass::cuda
