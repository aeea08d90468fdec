#include <immintrin.h>

#include "cpu/dense.h"

namespace qutlass {
namespace {

// The vector of 16 elements at `i`, or the first elements of one, as float32.
template <int32_t kDType>
[[gnu::always_inline]] inline __m512 load(const void* row, int64_t i, __mmask16 mask) {
  if constexpr (kDType == QUTLASS_F32) {
    return _mm512_maskz_loadu_ps(mask, static_cast<const float*>(row) + i);
  } else {
    const __m256i halves = _mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(row) + i);
    if constexpr (kDType == QUTLASS_F16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
}

// The loops over rows and columns are unrolled so that sums and operands stay in registers.

template <int32_t kDType, int kRows>
[[gnu::always_inline]] inline void add_products(const float* a, const void* const (&b)[kDotCols], int64_t i,
                                                __mmask16 mask, __m512 (&sums)[kRows][kDotCols]) {
  __m512 x[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) x[r] = _mm512_loadu_ps(a + r * kDotBlock + i);
#pragma GCC unroll 8
  for (int c = 0; c < kDotCols; ++c) {
    const __m512 y = load<kDType>(b[c], i, mask);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r][c] = _mm512_fmadd_ps(x[r], y, sums[r][c]);
  }
}

template <int32_t kDType, int kRows>
void dot_rows(const float* a, const void* const (&b)[kDotCols], int64_t count, float* lanes) {
  __m512 sums[kRows][kDotCols];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kDotCols; ++c) sums[r][c] = _mm512_loadu_ps(lanes + (r * kDotCols + c) * kDotLanes);
  }
  int64_t i = 0;
  for (; i + kDotLanes <= count; i += kDotLanes) add_products<kDType, kRows>(a, b, i, 0xFFFF, sums);
  if (i < count) {
    add_products<kDType, kRows>(a, b, i, static_cast<__mmask16>((1u << (count - i)) - 1), sums);
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kDotCols; ++c) _mm512_storeu_ps(lanes + (r * kDotCols + c) * kDotLanes, sums[r][c]);
  }
}

template <int32_t kDType>
DotRows of_rows(int rows) {
  switch (rows) {
    case 1: return dot_rows<kDType, 1>;
    case 2: return dot_rows<kDType, 2>;
    default: return dot_rows<kDType, kDotRows>;
  }
}

DotRows find(int32_t dtype, int rows) {
  switch (dtype) {
    case QUTLASS_F32: return of_rows<QUTLASS_F32>(rows);
    case QUTLASS_BF16: return of_rows<QUTLASS_BF16>(rows);
    default: return of_rows<QUTLASS_F16>(rows);
  }
}

void gather(float* lanes, int count, double* sums) {
  for (int i = 0; i < count; ++i, lanes += kDotLanes) {
    sums[i] += static_cast<double>(_mm512_reduce_add_ps(_mm512_loadu_ps(lanes)));
    _mm512_storeu_ps(lanes, _mm512_setzero_ps());
  }
}

}  // namespace

const DotLoops kAvx512DotLoops = {find, gather};

}  // namespace qutlass
