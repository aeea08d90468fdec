#include "matmul_problem.h"

#include <algorithm>
#include <cmath>

#include "check.h"
#include "dense_rows.h"
#include "numerics/dense.h"
#include "numerics/quantized.h"
#include "quantized_a.h"
#include "rotation.h"

namespace qutlass {
namespace {

// Formats that multiply with each other do so whatever their groups, rules and zero points are.
enum class Family { kMxfp4, kMxfp8, kNvfp4, kFp8, kInt8, kInt4, kNf4 };

constexpr const char* kFamilyNames[] = {"mxfp4", "mxfp8", "nvfp4", "fp8", "int8", "int4", "nf4"};

const char* name_of(Family family) { return kFamilyNames[static_cast<size_t>(family)]; }

Family family_of(const qutlass_format& format) {
  const bool mx = format.scale_dtype == QUTLASS_F8_E8M0;
  switch (format.element) {
    case QUTLASS_E2M1: return mx ? Family::kMxfp4 : Family::kNvfp4;
    case QUTLASS_INT8: return Family::kInt8;
    case QUTLASS_INT4:
    case QUTLASS_UINT4: return Family::kInt4;
    case QUTLASS_NF4: return Family::kNf4;
    default: return mx ? Family::kMxfp8 : Family::kFp8;
  }
}

bool is_integer(Family family) { return family == Family::kInt8 || family == Family::kInt4; }
bool is_mx(Family family) { return family == Family::kMxfp4 || family == Family::kMxfp8; }

void require_pair(const qutlass_format& a, const qutlass_format& b) {
  const Family left = family_of(a), right = family_of(b);
  const bool same = left == right && left != Family::kNf4;
  if (same || (is_mx(left) && is_mx(right)) || (is_integer(left) && is_integer(right))) return;
  fail(QUTLASS_E_FORMAT,
       "a and b: expected a dense a, two matrices of mxfp4, mxfp8, nvfp4, fp8, int8 or int4, mxfp4 with "
       "mxfp8, or int4 "
       "with int8, got %s and %s",
       name_of(left), name_of(right));
}

void require_operand(const char* name, const qutlass_operand& operand) {
  if (operand.is_quantized) {
    require_quantized(name, operand.quantized);
  } else {
    require_float_tensor(name, &operand.dense, 2);
  }
}

void require_problem(const qutlass_matmul_problem* problem, int64_t experts);

// Throws unless the problem is one when A has been quantized.
void require_quantized_on_the_way(const qutlass_matmul_problem& problem, int64_t experts) {
  const qutlass_operand& a = problem.a;
  if (a.is_quantized) fail(QUTLASS_E_ARGUMENT, "a: expected a dense matrix to quantize, got a quantized one");
  require_operand("a", a);
  require_format("a_format", problem.a_format);
  require_rotation("a_rotation", &problem.a_rotation, operand_cols(a));
  const qutlass_matmul_problem quantized = with_quantized_a(problem, a.dense.data);
  require_problem(&quantized, experts);
}

// experts: the number of those that share B, 0 for a product of all of it.
void require_problem(const qutlass_matmul_problem* problem, int64_t experts) {
  if (!problem) fail(QUTLASS_E_ARGUMENT, "problem: expected a pointer, got NULL");
  if (problem->quantizes_a) return require_quantized_on_the_way(*problem, experts);
  const qutlass_operand &a = problem->a, &b = problem->b;
  require_operand("a", a);
  require_operand("b", b);
  const int64_t m = operand_rows(a), k = operand_cols(a);
  if (operand_cols(b) != k) {
    fail(QUTLASS_E_SHAPE, "b: expected shape [N, K] with the K = %lld of a, got [%lld, %lld]",
         static_cast<long long>(k), static_cast<long long>(operand_rows(b)),
         static_cast<long long>(operand_cols(b)));
  }
  if (a.is_quantized) {
    if (!b.is_quantized) {
      fail(QUTLASS_E_FORMAT, "b: expected a quantized matrix beside a quantized a, got a dense %s one",
           dtype_name(b.dense.dtype));
    }
    require_pair(a.quantized.format, b.quantized.format);
    if (problem->a_rotation.kind != QUTLASS_ROTATION_IDENTITY) {
      fail(QUTLASS_E_ARGUMENT,
           "a_rotation: expected the identity for a quantized a, which is rotated when it is "
           "quantized, got kind %d",
           problem->a_rotation.kind);
    }
  } else {
    require_rotation("a_rotation", &problem->a_rotation, k);
  }
  if (!std::isfinite(problem->alpha)) {
    fail(QUTLASS_E_ARGUMENT, "alpha: expected a finite number, got %g", static_cast<double>(problem->alpha));
  }
  const int64_t parts = std::max<int64_t>(experts, 1), n = operand_rows(b) / parts;
  if (n * parts != operand_rows(b)) {
    fail(QUTLASS_E_SHAPE, "b: expected shape [E * N, K] with the E = %lld of offsets, got [%lld, %lld]",
         static_cast<long long>(experts), static_cast<long long>(operand_rows(b)), static_cast<long long>(k));
  }
  if (problem->bias.data) {
    require_float_tensor("bias", &problem->bias, experts ? 2 : 1);
    if (experts) {
      require_shape("bias", problem->bias, {experts, n});
    } else {
      require_shape("bias", problem->bias, {n});
    }
  }
  require_float_tensor("out", &problem->out, 2);
  require_shape("out", problem->out, {m, n});
  if (problem->accuracy != QUTLASS_ACCURACY_EXACT && problem->accuracy != QUTLASS_ACCURACY_INT8) {
    fail(QUTLASS_E_ARGUMENT, "accuracy: expected 0 (exact) or 1 (int8), got %d", problem->accuracy);
  }
}

}  // namespace

void require_matmul_problem(const qutlass_matmul_problem* problem) { require_problem(problem, 0); }

int64_t require_experts_problem(const qutlass_matmul_problem* problem, const qutlass_tensor* offsets) {
  require_tensor("offsets", offsets, 1, {QUTLASS_I32});
  const int64_t experts = offsets->shape[0] - 1;
  if (experts < 1)
    fail(QUTLASS_E_SHAPE, "offsets: expected shape [E + 1], got %s", shape_text(*offsets).c_str());
  require_problem(problem, experts);
  return experts;
}

bool is_integer_pair(const qutlass_matmul_problem& problem) {
  const auto integer = [](const qutlass_operand& operand) {
    return operand.is_quantized && is_integer(family_of(operand.quantized.format));
  };
  return integer(problem.a) && integer(problem.b);
}

void rotate_operand(Context& context, const qutlass_tensor& a, const qutlass_rotation& rotation,
                    float* rotated) {
  // A piece is some blocks of one row: a single row, as in decoding, is spread over the threads too.
  const int64_t k = a.shape[1], size = rotation.size;
  const int64_t blocks = k / size;
  const int64_t per_piece = std::max<int64_t>(1, 1024 / size);
  context.threads.parallel_for(a.shape[0] * blocks, per_piece, [&](int64_t begin, int64_t end) {
    // Blocks are contiguous across rows, and rotate_row sees only blocks.
    const int64_t count = (end - begin) * size;
    const Scratch buffer(context.memory, static_cast<size_t>(count) * sizeof(float));
    const float* x = load_row(a, begin * size, count, buffer.as<float>());
    rotate_row(rotation, x, rotated + begin * size, count);
  });
}

double epilogue_factor(const qutlass_matmul_problem& problem) {
  const double alpha = static_cast<double>(problem.alpha);
  const double factor = problem.alpha_pointer ? alpha * static_cast<double>(*problem.alpha_pointer) : alpha;
  const auto global_scale = [](const qutlass_operand& operand) {
    const float* scale = operand.is_quantized ? operand.quantized.global_scale : nullptr;
    return scale ? static_cast<double>(*scale) : 1.0;
  };
  return factor / (global_scale(problem.a) * global_scale(problem.b));
}

Epilogue::Epilogue(const qutlass_matmul_problem& problem)
    : bias_(problem.bias), out_(problem.out), factor_(epilogue_factor(problem)) {}

template <int32_t kDType>
void Epilogue::store_as(int64_t offset, const double* sums, const float* bias, int64_t count) const {
  for (int64_t i = 0; i < count; ++i) {
    const double addend = bias ? static_cast<double>(bias[i]) : 0.0;
    store_dense_once(out_.data, kDType, offset + i, factor_ * sums[i] + addend);
  }
}

void Epilogue::store(int64_t m, int64_t n, const double* sums, int64_t count) const {
  float buffer[kMaxCount];
  const float* bias = bias_.data ? load_row(bias_, n, count, buffer) : nullptr;
  const int64_t offset = m * out_.shape[1] + n;
  switch (out_.dtype) {
    case QUTLASS_BF16: return store_as<QUTLASS_BF16>(offset, sums, bias, count);
    case QUTLASS_F16: return store_as<QUTLASS_F16>(offset, sums, bias, count);
    default: return store_as<QUTLASS_F32>(offset, sums, bias, count);
  }
}

}  // namespace qutlass
