// The inner loops of the matrix multiplication kernels, once in portable C++ and once per instruction set.
// They take plain pointers and this header needs no others: a file compiled for an instruction set must not
// emit a copy of an inline function that the linker could then choose for the rest of the library.
#pragma once

#include <cstdint>

namespace qutlass {

// Rows of A and of B in one panel. A tile of 6 x 16 sums fills 12 of the 16 vector registers of AVX2; two
// rows of a B panel and one broadcast element of A take three more.
constexpr int kPanelA = 6;
constexpr int kPanelB = 16;

// Elements [begin, end) of a row of codes, scaled in groups along the row. begin is a multiple of 32.
struct GroupedCodes {
  int32_t element;       // qutlass_element
  int32_t group_shift;   // log2 of the elements per group, at least 4; kWholeRow if the row is one group
  const uint8_t* codes;  // of the row's element 0; two codes a byte for elements of 4 bits
  int64_t begin, end;
  const float* scales;  // of the group of `begin` and of those that follow
  const float* zeros;   // zero points likewise, or null
  const float* table;   // the values of all byte codes of the element

  static constexpr int32_t kWholeRow = 62;
  // The index of the group of element k among scales and zeros.
  [[gnu::always_inline]] int64_t group(int64_t k) const {
    return (k >> group_shift) - (begin >> group_shift);
  }
};

struct Primitives {
  // out[i] = (code - zero) * scale, one rounding to float32 where scales are not powers of two.
  void (*decode)(const GroupedCodes& codes, float* out);
  // out[i] = code - zero for INT8, INT4 and UINT4. Scales are not read.
  void (*decode_integers)(const GroupedCodes& codes, int16_t* out);
  // Elements [0, count) of F32, BF16 or F16 data.
  void (*decode_dense)(const void* data, int32_t dtype, int64_t count, float* out);

  // Makes a panel of 32-bit words: out[i * width + r] = rows[r][i]; width is kPanelA or kPanelB.
  void (*interleave)(const void* const* rows, int width, int64_t count, void* out);

  // c[kPanelA][kPanelB] += a b^T over `count` elements of two panels, summed in float32 first.
  void (*multiply_f32)(int64_t count, const float* a, const float* b, double* c);
  // c[kPanelA][kPanelB] += a b^T * a_scales * b_scales for each of `segments` segments of two panels of pairs
  // of int16. A segment holds `pairs` pairs, the last one `last_pairs`; its products are summed in int32.
  // Scales are [segment][row of the panel].
  void (*multiply_i32)(int64_t segments, int64_t pairs, int64_t last_pairs, const int16_t* a,
                       const double* a_scales, const int16_t* b, const double* b_scales, double* c);

  // sums[r * stride] += sum of a[r * lda + i] * b[i] for r < rows, over `count` elements summed in float32
  // first.
  void (*dot_f32)(int64_t rows, const float* a, int64_t lda, const float* b, int64_t count, double* sums,
                  int64_t stride);
  // The dot product of two rows of pairs of int16, in segments as in multiply_i32.
  double (*dot_i32)(int64_t segments, int64_t pairs, int64_t last_pairs, const int16_t* a,
                    const double* a_scales, const int16_t* b, const double* b_scales);
};

extern const Primitives kGenericPrimitives;
extern const Primitives kAvx2Primitives;

}  // namespace qutlass
