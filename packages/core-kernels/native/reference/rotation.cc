#include "rotation.h"

#include <algorithm>
#include <bit>

#include "check.h"
#include "cpu/vectorized.h"
#include "device.h"
#include "numerics/dense.h"
#include "numerics/hadamard.h"
#include "same_shape.h"

namespace qutlass {
namespace {

constexpr int32_t kMaxHadamard = 16384;

// +1 or -1; only the sign of the stored byte counts.
float hadamard_sign(const qutlass_rotation& rotation, int32_t i) {
  const auto* signs = static_cast<const int8_t*>(rotation.data);
  return signs && signs[i] < 0 ? -1.0f : 1.0f;
}

constexpr int32_t kLanes = 16;
// Vectors of GCC and Clang; where registers are narrower, one is several.
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));

// The sum and the difference of each two lanes that are kHalf apart, in their places.
template <int kHalf>
[[gnu::always_inline]] inline void add_lanes(Lanes& x) {
  constexpr auto other = [](int lane) { return lane ^ kHalf; };
  constexpr auto sign = [](int lane) { return lane & kHalf ? -1.0f : 1.0f; };
  const Lanes others = __builtin_shufflevector(x, x, other(0), other(1), other(2), other(3), other(4),
                                               other(5), other(6), other(7), other(8), other(9), other(10),
                                               other(11), other(12), other(13), other(14), other(15));
  constexpr Lanes kSigns = {sign(0), sign(1), sign(2),  sign(3),  sign(4),  sign(5),  sign(6),  sign(7),
                            sign(8), sign(9), sign(10), sign(11), sign(12), sign(13), sign(14), sign(15)};
  x = others + x * kSigns;
}

// In place y = y @ S with the Sylvester matrix S[i, j] = (-1)^popcount(i & j), which is symmetric; from
// differences of indices of `half` on.
template <typename T>
void sylvester(T* y, int32_t size, int32_t half = 1) {
  for (; half < size; half *= 2) {
    for (int32_t block = 0; block < size; block += 2 * half) {
      for (int32_t i = block; i < block + half; ++i) {
        const T a = y[i], b = y[i + half];
        y[i] = a + b;
        y[i + half] = a - b;
      }
    }
  }
}

// Multiplying by the entry before adding keeps to the definition, sums of products of bfloat16 numbers (each
// exact in float32), and sums no more than the result holds, so nothing overflows on the way.
[[gnu::always_inline]] inline void hadamard_block(const qutlass_rotation& rotation, const float* __restrict x,
                                                  float* __restrict y) {
  const float entry = hadamard_entry(rotation.size);
  const auto* signs = static_cast<const int8_t*>(rotation.data);
  for (int32_t i = 0; i < rotation.size; ++i) y[i] = round_to_bf16(x[i]) * entry;
  if (signs) {
    for (int32_t i = 0; i < rotation.size; ++i) y[i] = signs[i] < 0 ? -y[i] : y[i];
  }
  if (rotation.size < kLanes) return sylvester(y, rotation.size);
  for (int32_t i = 0; i < rotation.size; i += kLanes) {
    Lanes lanes{};
    __builtin_memcpy(&lanes, y + i, sizeof lanes);
    add_lanes<1>(lanes);
    add_lanes<2>(lanes);
    add_lanes<4>(lanes);
    add_lanes<8>(lanes);
    __builtin_memcpy(y + i, &lanes, sizeof lanes);
  }
  sylvester(y, rotation.size, kLanes);
}

void inverse_hadamard_block(const qutlass_rotation& rotation, double gain, const double* y, double* x) {
  std::copy_n(y, rotation.size, x);
  sylvester(x, rotation.size);
  const double factor = hadamard_entry(rotation.size) / gain;
  for (int32_t i = 0; i < rotation.size; ++i) x[i] *= factor * hadamard_sign(rotation, i);
}

[[gnu::always_inline]] inline void matrix_block(const qutlass_rotation& rotation, const float* __restrict x,
                                                float* __restrict y) {
  const int64_t size = rotation.size;
  const auto* matrix = static_cast<const uint16_t*>(rotation.data);
  std::fill_n(y, size, 0.0f);
  for (int64_t i = 0; i < size; ++i) {
    const float value = round_to_bf16(x[i]);
    for (int64_t j = 0; j < size; ++j) y[j] += value * bf16_to_f32(matrix[i * size + j]);
  }
}

void inverse_matrix_block(const qutlass_rotation& rotation, double gain, const double* y, double* x) {
  const int64_t size = rotation.size;
  const auto* matrix = static_cast<const uint16_t*>(rotation.data);
  for (int64_t i = 0; i < size; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < size; ++j) sum += y[j] * static_cast<double>(bf16_to_f32(matrix[i * size + j]));
    x[i] = sum / gain;
  }
}

}  // namespace

void require_rotation(const char* name, const qutlass_rotation* rotation, int64_t k) {
  if (!rotation || rotation->kind == QUTLASS_ROTATION_IDENTITY) return;
  const int32_t size = rotation->size;
  switch (rotation->kind) {
    case QUTLASS_ROTATION_HADAMARD:
      if (size < 2 || size > kMaxHadamard || (size & (size - 1)) != 0) {
        fail(QUTLASS_E_ARGUMENT,
             "%s.size: expected a power of two from 2 to %d for a Hadamard matrix, got %d", name,
             kMaxHadamard, size);
      }
      break;
    case QUTLASS_ROTATION_MATRIX:
      if (size < 1) fail(QUTLASS_E_ARGUMENT, "%s.size: expected a positive size, got %d", name, size);
      if (!rotation->data) fail(QUTLASS_E_ARGUMENT, "%s.data: expected a bf16 matrix, got NULL", name);
      break;
    default:
      fail(QUTLASS_E_ARGUMENT, "%s.kind: expected 0 (identity), 1 (hadamard) or 2 (matrix), got %d", name,
           rotation->kind);
  }
  if (k % size != 0) {
    fail(QUTLASS_E_SHAPE, "%s.size: expected a divisor of the last dimension %lld, got %d", name,
         static_cast<long long>(k), size);
  }
}

void rotate_row(const qutlass_rotation& rotation, const float* x, float* y, int64_t k) {
  if (rotation.kind == QUTLASS_ROTATION_IDENTITY) {
    std::copy_n(x, k, y);
    return;
  }
  vectorized([=, rotation = rotation] {
    for (int64_t i = 0; i < k; i += rotation.size) {
      if (rotation.kind == QUTLASS_ROTATION_HADAMARD) {
        hadamard_block(rotation, x + i, y + i);
      } else {
        matrix_block(rotation, x + i, y + i);
      }
    }
  });
}

double rotation_gain(const qutlass_rotation& rotation) {
  if (rotation.kind == QUTLASS_ROTATION_IDENTITY) return 1;
  const int64_t size = rotation.size;
  if (rotation.kind == QUTLASS_ROTATION_HADAMARD) {
    const double entry = hadamard_entry(rotation.size);
    return static_cast<double>(size) * entry * entry;
  }
  const auto* matrix = static_cast<const uint16_t*>(rotation.data);
  double sum = 0;
  for (int64_t i = 0; i < size * size; ++i) {
    const double entry = bf16_to_f32(matrix[i]);
    sum += entry * entry;
  }
  return sum / static_cast<double>(size);
}

void unrotate_row(const qutlass_rotation& rotation, double gain, const double* y, double* x, int64_t k) {
  if (rotation.kind == QUTLASS_ROTATION_IDENTITY) {
    std::copy_n(y, k, x);
    return;
  }
  const auto block =
      rotation.kind == QUTLASS_ROTATION_HADAMARD ? inverse_hadamard_block : inverse_matrix_block;
  for (int64_t i = 0; i < k; i += rotation.size) block(rotation, gain, y + i, x + i);
}

RotatedRows::RotatedRows(MemoryPool& memory, const qutlass_tensor& x, const qutlass_rotation& rotation)
    : x_(x),
      rotation_(rotation),
      cols_(x.shape[x.rank - 1]),
      decoded_(memory, x.dtype == QUTLASS_F32 ? 0 : static_cast<size_t>(cols_) * sizeof(float)),
      rotated_(memory,
               rotation.kind == QUTLASS_ROTATION_IDENTITY ? 0 : static_cast<size_t>(cols_) * sizeof(float)) {}

const float* RotatedRows::operator[](int64_t row) const {
  const float* values = load_row(x_, row * cols_, cols_, decoded_.as<float>());
  if (rotation_.kind == QUTLASS_ROTATION_IDENTITY) return values;
  rotate_row(rotation_, values, rotated_.as<float>(), cols_);
  return rotated_.as<float>();
}

}  // namespace qutlass

extern "C" qutlass_status qutlass_rotate(qutlass_stream* stream, const qutlass_tensor* x,
                                         const qutlass_rotation* rotation, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_float_tensor("x", x, -1);
    require_float_tensor("out", out, x->rank);
    require_same_shape("out", *out, *x);
    const int64_t cols = x->shape[x->rank - 1];
    require_rotation("rotation", rotation, cols);
    const qutlass_rotation copy = copy_rotation(rotation);
    if (const auto* gpu = stream->device.operations) return gpu->rotate(*stream, *x, copy, *out);
    stream->launch({x->data, copy.data, out->data}, [=, x = *x, out = *out](Context& context) {
      context.threads.parallel_for(element_count(x) / cols, rows_per_piece(cols),
                                   [&](int64_t begin, int64_t end) {
                                     const RotatedRows rows(context.memory, x, copy);
                                     for (int64_t row = begin; row < end; ++row)
                                       store_row(rows[row], out, row * cols, cols);
                                   });
    });
  });
}
