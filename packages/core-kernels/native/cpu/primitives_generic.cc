// The inner loops in portable C++. Fixed trip counts and small arrays let a compiler keep sums in vector
// registers.
#include <algorithm>
#include <cstring>

#include "numerics/elements.h"
#include "primitives.h"
#include "reference/dense_rows.h"
#include "reference/dot.h"

namespace qutlass {
namespace {

// Calls body(begin, end, group) for each part of a group in [begin, end).
template <typename Body>
void for_each_group(const GroupedCodes& in, Body&& body) {
  for (int64_t k = in.begin; k < in.end;) {
    const int64_t stop = std::min(((k >> in.group_shift) + 1) << in.group_shift, in.end);
    body(k, stop, in.group(k));
    k = stop;
  }
}

void decode(const GroupedCodes& in, float* out) {
  const int32_t bits = element_storage_bits(in.element);
  for_each_group(in, [&](int64_t begin, int64_t end, int64_t group) {
    const float scale = in.scales[group], zero = in.zeros ? in.zeros[group] : 0.0f;
    for (int64_t k = begin; k < end; ++k)
      out[k - in.begin] = (in.table[load_code(in.codes, bits, k)] - zero) * scale;
  });
}

void decode_integers(const GroupedCodes& in, int16_t* out) {
  const int32_t bits = element_storage_bits(in.element);
  for_each_group(in, [&](int64_t begin, int64_t end, int64_t group) {
    const float zero = in.zeros ? in.zeros[group] : 0.0f;
    for (int64_t k = begin; k < end; ++k) {
      out[k - in.begin] = static_cast<int16_t>(in.table[load_code(in.codes, bits, k)] - zero);
    }
  });
}

void decode_dense(const void* data, int32_t dtype, int64_t count, float* out) {
  qutlass_tensor tensor{};
  tensor.data = const_cast<void*>(data);
  tensor.dtype = dtype;
  const float* values = load_row(tensor, 0, count, out);
  if (values != out) std::copy_n(values, count, out);
}

void interleave(const void* const* rows, int width, int64_t count, void* out) {
  auto* words = static_cast<unsigned char*>(out);
  for (int64_t i = 0; i < count; ++i) {
    for (int r = 0; r < width; ++r, words += 4)
      std::memcpy(words, static_cast<const unsigned char*>(rows[r]) + 4 * i, 4);
  }
}

// One row at a time: its sixteen sums fit the vector registers of any machine.
void multiply_f32(int64_t count, const float* a, const float* b, double* c) {
  for (int i = 0; i < kPanelA; ++i) {
    float sums[kPanelB] = {};
    for (int64_t k = 0; k < count; ++k) {
      for (int j = 0; j < kPanelB; ++j) sums[j] += a[k * kPanelA + i] * b[k * kPanelB + j];
    }
    for (int j = 0; j < kPanelB; ++j) c[i * kPanelB + j] += static_cast<double>(sums[j]);
  }
}

void multiply_i32(int64_t segments, int64_t pairs, int64_t last_pairs, const int16_t* a,
                  const double* a_scales, const int16_t* b, const double* b_scales, double* c) {
  for (int64_t segment = 0; segment < segments; ++segment) {
    const int64_t count = segment + 1 < segments ? pairs : last_pairs;
    for (int i = 0; i < kPanelA; ++i) {
      int32_t sums[kPanelB] = {};
      for (int64_t k = 0; k < count; ++k) {
        const int32_t x0 = a[(k * kPanelA + i) * 2], x1 = a[(k * kPanelA + i) * 2 + 1];
        const int16_t* y = b + k * kPanelB * 2;
        for (int j = 0; j < kPanelB; ++j) sums[j] += x0 * y[2 * j] + x1 * y[2 * j + 1];
      }
      for (int j = 0; j < kPanelB; ++j) c[i * kPanelB + j] += sums[j] * (a_scales[i] * b_scales[j]);
    }
    a += count * kPanelA * 2;
    b += count * kPanelB * 2;
    a_scales += kPanelA;
    b_scales += kPanelB;
  }
}

void dot_f32(int64_t rows, const float* a, int64_t lda, const float* b, int64_t count, double* sums,
             int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) sums[r * stride] += static_cast<double>(dot(a + r * lda, b, count));
}

double dot_i32(int64_t segments, int64_t pairs, int64_t last_pairs, const int16_t* a, const double* a_scales,
               const int16_t* b, const double* b_scales) {
  double total = 0;
  for (int64_t segment = 0; segment < segments; ++segment) {
    const int64_t count = 2 * (segment + 1 < segments ? pairs : last_pairs);
    int32_t sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
    total += sum * (a_scales[segment] * b_scales[segment]);
    a += count;
    b += count;
  }
  return total;
}

}  // namespace

const Primitives kGenericPrimitives = {decode,       decode_integers, decode_dense, interleave,
                                       multiply_f32, multiply_i32,    dot_f32,      dot_i32};

}  // namespace qutlass
