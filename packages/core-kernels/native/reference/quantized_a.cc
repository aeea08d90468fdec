#include "quantized_a.h"

#include <cstring>

#include "check.h"
#include "numerics/quantized.h"

namespace qutlass {
namespace {

// Offsets of the parts of a quantized matrix in one block, each where the widest access of a kernel may
// begin.
struct Layout {
  size_t scales, zero_points, global_scale, bytes;

  explicit Layout(const qutlass_quantized& q) {
    const auto groups = static_cast<size_t>(scale_rows(q) * scale_cols(q));
    const auto elements = static_cast<size_t>(q.rows * q.cols);
    scales = aligned(elements * static_cast<size_t>(element_storage_bits(q.format.element)) / 8);
    zero_points = scales + aligned(groups * static_cast<size_t>(dtype_bytes(q.format.scale_dtype)));
    global_scale = zero_points + (q.format.zero_point ? aligned(groups) : 0);
    bytes = global_scale + (has_global_scale(q.format.rule) ? sizeof(float) : 0);
  }

  static size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }
};

qutlass_quantized without_parts(const qutlass_matmul_problem& problem) {
  qutlass_quantized q{};
  q.format = problem.a_format;
  q.rows = problem.a.dense.shape[0];
  q.cols = problem.a.dense.shape[1];
  return q;
}

void require_ok(qutlass_status status) {
  if (status != QUTLASS_OK) throw Error(status, qutlass_last_error());
}

}  // namespace

size_t quantized_a_bytes(const qutlass_matmul_problem& problem) {
  return Layout(without_parts(problem)).bytes;
}

qutlass_matmul_problem with_quantized_a(const qutlass_matmul_problem& problem, void* block) {
  qutlass_quantized q = without_parts(problem);
  const Layout layout(q);
  auto* const begin = static_cast<uint8_t*>(block);
  q.codes = begin;
  q.scales = begin + layout.scales;
  if (q.format.zero_point) q.zero_points = begin + layout.zero_points;
  if (has_global_scale(q.format.rule)) q.global_scale = reinterpret_cast<float*>(begin + layout.global_scale);
  qutlass_matmul_problem copy = problem;
  copy.a.is_quantized = 1;
  copy.a.quantized = q;
  copy.a_rotation = {};
  copy.quantizes_a = 0;
  return copy;
}

QuantizedA::QuantizedA(qutlass_stream& stream, const qutlass_matmul_problem& problem)
    : device_(stream.device),
      dense_(problem.a.dense),
      rotation_(problem.a_rotation),
      format_(problem.a_format),
      block_(device_.allocate(quantized_a_bytes(problem))) {
  try {
    const qutlass_quantized q = in(problem).a.quantized;
    require_ok(qutlass_quantize(&stream, &dense_, &rotation_, nullptr, q.global_scale != nullptr, &q));
  } catch (...) {
    device_.release_later(block_);
    throw;
  }
}

QuantizedA::~QuantizedA() { device_.release_later(block_); }

bool QuantizedA::is_of(const qutlass_matmul_problem& problem) const {
  const qutlass_tensor& a = problem.a.dense;
  const qutlass_rotation& rotation = problem.a_rotation;
  return a.data == dense_.data && a.dtype == dense_.dtype && a.shape[0] == dense_.shape[0] &&
         a.shape[1] == dense_.shape[1] && rotation.kind == rotation_.kind &&
         rotation.size == rotation_.size && rotation.data == rotation_.data &&
         std::memcmp(&problem.a_format, &format_, sizeof(qutlass_format)) == 0;
}

qutlass_matmul_problem QuantizedA::in(const qutlass_matmul_problem& problem) const {
  return with_quantized_a(problem, block_);
}

}  // namespace qutlass
