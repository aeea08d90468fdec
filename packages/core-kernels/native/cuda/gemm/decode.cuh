// Elements in memory to numbers. Kernels read 16 bytes at a time, a unit: 4 float32 to 32 codes of 4 bits.
#pragma once

#include "cuda/atoms/nf4_values.cuh"
#include "cuda/gemm/operand.cuh"

namespace qutlass::cuda {

template <Kind kKind>
inline constexpr int kUnitElements = 128 / bits_of(kKind);

struct Unit {
  uint32_t words[4];
};

// The unit from column k of a row on; zeros beyond the end of the row and of the operand. k is a multiple of
// the elements in a unit.
template <int kBits>
__device__ inline Unit load_unit(const Operand& x, int row, int k) {
  if (row >= x.rows || k >= x.cols) return {};
  const uint8_t* at = x.data + row * x.row_bytes + static_cast<int64_t>(k) * kBits / 8;
  const int bytes = min(x.cols - k, 128 / kBits) * kBits / 8;
  if (x.aligned && bytes == 16) {
    const uint4 words = __ldg(reinterpret_cast<const uint4*>(at));
    return {{words.x, words.y, words.z, words.w}};
  }
  uint64_t low = 0, high = 0;
#pragma unroll 1
  for (int i = bytes - 1; i >= 0; --i) {
    high = high << 8 | low >> 56;
    low = low << 8 | __ldg(at + i);
  }
  return {{static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32), static_cast<uint32_t>(high),
           static_cast<uint32_t>(high >> 32)}};
}

// What decode takes off an integer whose bits were put below 2^23: the 2^23, the excess that makes codes
// unsigned, and the zero point. Exact.
template <Kind kKind>
__device__ inline float integer_offset(int zero_point) {
  constexpr int kExcess = kKind == Kind::kInt8 ? 128 : kKind == Kind::kInt4 ? 8 : 0;
  return static_cast<float>((1 << 23) + kExcess + zero_point);
}

// Element i of a unit, before its scale. offset: integer_offset, for integers.
template <Kind kKind>
__device__ inline float decode(const Unit& unit, int i, float offset) {
  constexpr int kBits = bits_of(kKind), kPerWord = 32 / kBits;
  const uint32_t word = unit.words[i / kPerWord];
  const int shift = i % kPerWord * kBits;
  if constexpr (kKind == Kind::kF32) {
    return __uint_as_float(word);
  } else if constexpr (kKind == Kind::kBF16) {
    return bf16_to_f32(static_cast<uint16_t>(word >> shift));
  } else if constexpr (kKind == Kind::kF16) {
    return f16_to_f32(static_cast<uint16_t>(word >> shift));
  } else if constexpr (kKind == Kind::kE2M1) {
    return E2M1::decode(word >> shift & 0xFu, false);
  } else if constexpr (kKind == Kind::kE4M3) {
    return E4M3::decode(word >> shift & 0xFFu, false);
  } else if constexpr (kKind == Kind::kE5M2) {
    return E5M2::decode(word >> shift & 0xFFu, true);
  } else if constexpr (kKind == Kind::kInt8) {
    return __uint_as_float(0x4B000000u | ((word ^ 0x80808080u) >> shift & 0xFFu)) - offset;
  } else if constexpr (kKind == Kind::kInt4) {
    return __uint_as_float(0x4B000000u | ((word ^ 0x88888888u) >> shift & 0xFu)) - offset;
  } else if constexpr (kKind == Kind::kUint4) {
    return __uint_as_float(0x4B000000u | (word >> shift & 0xFu)) - offset;
  } else {
    return __ldg(kNf4Values + (word >> shift & 0xFu));
  }
}

// Calls body(KindConstant<kind>{}) if it is one of these: one branch, and everything below it is compiled for
// the kind.
template <Kind... kKinds, typename Body>
__device__ inline void with_kind_of(Kind kind, Body&& body) {
  ((kind == kKinds ? body(KindConstant<kKinds>{}) : void()), ...);
}
template <typename Body>
__device__ inline void with_kind(Kind kind, Body&& body) {
  with_kind_of<Kind::kF32, Kind::kBF16, Kind::kF16, Kind::kE2M1, Kind::kE4M3, Kind::kE5M2, Kind::kInt8,
               Kind::kInt4, Kind::kUint4, Kind::kNf4>(kind, body);
}

}  // namespace qutlass::cuda
