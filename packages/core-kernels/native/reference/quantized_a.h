// A dense A that is quantized on the way into a matrix multiplication.
#pragma once

#include "device.h"
#include "qutlass.h"

namespace qutlass {

// The problem as kernels see it that take A quantized: its parts, in row layout, lie in a block of
// quantized_a_bytes().
size_t quantized_a_bytes(const qutlass_matmul_problem& problem);
qutlass_matmul_problem with_quantized_a(const qutlass_matmul_problem& problem, void* block);

// A of a valid problem, quantized by work that this enqueues. The memory goes back when the work enqueued by
// the end of its life has run.
class QuantizedA {
 public:
  QuantizedA(qutlass_stream& stream, const qutlass_matmul_problem& problem);
  QuantizedA(const QuantizedA&) = delete;
  QuantizedA& operator=(const QuantizedA&) = delete;
  ~QuantizedA();

  // Whether a problem that quantizes its A gets this one.
  bool is_of(const qutlass_matmul_problem& problem) const;
  qutlass_matmul_problem in(const qutlass_matmul_problem& problem) const;

 private:
  qutlass_device& device_;
  qutlass_tensor dense_;
  qutlass_rotation rotation_;
  qutlass_format format_;
  void* block_;
};

}  // namespace qutlass
