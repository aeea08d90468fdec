// From global memory to the tiles of operands in shared memory that the tensor cores read.
//
// A thread loads its units of the next tile into registers before the products of the current one, and
// decodes and stores them after: each element is decoded once per block, not once per warp that reads it, and
// the products hide the latency of global memory. Threads of a warp take consecutive units of a row, then the
// next row.
#pragma once

#include "cuda/gemm/decode.cuh"

namespace qutlass::cuda {

// A row of a tile is 64 bytes: 32 bf16 or 64 int8, two steps of the tensor cores. Rows are 80 bytes apart, so
// that eight of them lie in different banks.
inline constexpr int kTileRowBytes = 64;
inline constexpr int kTilePitch = 80;
inline constexpr int kSteps = 2;
inline constexpr int kStepBytes = kTileRowBytes / kSteps;

// Takes the bf16 next to `value` off it and returns it. Two of them leave at most 2^-17 of a number, three
// nothing. Infinity is the last part alone: as the third it meets the first part of the other operand only,
// whose sign is that of the number. NaN stays NaN whatever its bits.
__device__ inline float take_bf16(float& value, bool last) {
  if (isinf(value)) return last ? value : 0.0f;
  if (isnan(value)) return __uint_as_float(0x7FC00000u);
  const uint32_t bits = __float_as_uint(value);
  const uint32_t rounded = (bits + 0x8000u) & 0xFFFF0000u;
  // The largest numbers would round to infinity.
  const float part = __uint_as_float((rounded & 0x7F800000u) == 0x7F800000u ? bits & 0xFFFF0000u : rounded);
  value -= part;
  return part;
}

__device__ inline uint32_t pack_upper_halves(float low, float high) {
  return __byte_perm(__float_as_uint(low), __float_as_uint(high), 0x7632);
}

// Values to kParts planes of bf16, `plane` bytes apart, at the same place of each. With one part, the values
// are bf16 numbers already.
template <int kParts, int kCount>
__device__ inline void store_bf16(float (&values)[kCount], uint8_t* at, int plane) {
#pragma unroll
  for (int part = 0; part < kParts; ++part, at += plane) {
    uint32_t words[kCount / 2];
#pragma unroll
    for (int i = 0; i < kCount; i += 2) {
      const float low = kParts == 1 ? values[i] : take_bf16(values[i], part == kParts - 1);
      const float high = kParts == 1 ? values[i + 1] : take_bf16(values[i + 1], part == kParts - 1);
      words[i / 2] = pack_upper_halves(low, high);
    }
    if constexpr (kCount == 8) {
      *reinterpret_cast<uint4*>(at) = make_uint4(words[0], words[1], words[2], words[3]);
    } else {
      *reinterpret_cast<uint2*>(at) = make_uint2(words[0], words[1]);
    }
  }
}

// How an operand is stored for bf16 tensor cores: less its zero points, before its scales, in kParts planes.
template <int kParts>
struct Bf16Tile {
  static constexpr int kPlanes = kParts;
  static constexpr int kColumns = kTileRowBytes / 2;
  static constexpr int kStepColumns = kColumns / kSteps;
  // Bits of the widest element that takes this many parts.
  static constexpr int kMaxBits = kParts == 1 ? 16 : 32;
  static constexpr bool kTakesZeroPoints = true;

  static constexpr bool takes(Kind kind) {
    const bool inexact = kind == Kind::kF32 || kind == Kind::kF16 || kind == Kind::kNf4;
    return kParts == 1 ? !inexact : kParts == 2 ? inexact : kind == Kind::kF32;
  }

  // row: of the first plane in shared memory; planes are `plane` bytes apart.
  template <Kind kKind>
  static __device__ void store(const Unit& unit, int zero_point, uint8_t* row, int column, int plane) {
    constexpr int kCount = kUnitElements<kKind> < 8 ? kUnitElements<kKind> : 8;
    const float offset = integer_offset<kKind>(zero_point);
#pragma unroll
    for (int i = 0; i < kUnitElements<kKind>; i += kCount) {
      float values[kCount];
#pragma unroll
      for (int j = 0; j < kCount; ++j) values[j] = decode<kKind>(unit, i + j, offset);
      store_bf16<kParts>(values, row + (column + i) * 2, plane);
    }
  }
};

// How an operand is stored for int8 tensor cores: codes with their zero points still in them.
struct Int8Tile {
  static constexpr int kPlanes = 1;
  static constexpr int kColumns = kTileRowBytes;
  static constexpr int kStepColumns = kColumns / kSteps;
  static constexpr int kMaxBits = 8;
  static constexpr bool kTakesZeroPoints = false;

  static constexpr bool takes(Kind kind) { return is_integer(kind); }

  template <Kind kKind>
  static __device__ void store(const Unit& unit, int, uint8_t* row, int column, int) {
    auto* out = reinterpret_cast<uint4*>(row + column);
    if constexpr (kKind == Kind::kInt8) {
      *out = make_uint4(unit.words[0], unit.words[1], unit.words[2], unit.words[3]);
    } else {
      uint32_t words[8];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const uint32_t even = unit.words[i] & 0x0F0F0F0Fu, odd = unit.words[i] >> 4 & 0x0F0F0F0Fu;
        words[2 * i] = extend<kKind>(__byte_perm(even, odd, 0x5140));
        words[2 * i + 1] = extend<kKind>(__byte_perm(even, odd, 0x7362));
      }
      out[0] = make_uint4(words[0], words[1], words[2], words[3]);
      out[1] = make_uint4(words[4], words[5], words[6], words[7]);
    }
  }

 private:
  // Four nibbles in bytes to int8.
  template <Kind kKind>
  static __device__ uint32_t extend(uint32_t nibbles) {
    return kKind == Kind::kInt4 ? nibbles | (nibbles & 0x08080808u) * 0x1Eu : nibbles;
  }
};

// The part of kRows rows of an operand that a thread of kThreads brings to shared memory.
template <typename Tile, int kRows, int kThreads>
class Loader {
 public:
  static constexpr int kBytes = Tile::kPlanes * kRows * kTilePitch;

  // Loads from row `row` and column `k` on.
  __device__ void load(const Operand& x, int row, int k) {
    switch (bits_of(x.kind)) {
      case 32:
        if constexpr (Tile::kMaxBits >= 32) load_bits<32>(x, row, k);
        break;
      case 16:
        if constexpr (Tile::kMaxBits >= 16) load_bits<16>(x, row, k);
        break;
      case 8: load_bits<8>(x, row, k); break;
      default: load_bits<4>(x, row, k); break;
    }
  }

  __device__ void store(Kind kind, uint8_t* tile) const {
    with_kind(kind, [&](auto constant) {
      constexpr Kind kKind = decltype(constant)::value;
      if constexpr (Tile::takes(kKind)) {
        using Map = UnitMap<bits_of(kKind)>;
#pragma unroll
        for (int i = 0; i < Map::kPerThread; ++i) {
          if (!Map::has(i)) continue;
          Tile::template store<kKind>(units_[i], zero_point_, tile + Map::row(i) * kTilePitch, Map::column(i),
                                      kRows * kTilePitch);
        }
      }
    });
  }

 private:
  template <int kBits>
  struct UnitMap {
    static constexpr int kElements = 128 / kBits;
    static constexpr int kPerRow = Tile::kColumns / kElements;
    static constexpr int kUnits = kRows * kPerRow;
    static constexpr int kPerThread = (kUnits + kThreads - 1) / kThreads;
    static __device__ int index(int i) { return i * kThreads + static_cast<int>(threadIdx.x); }
    static __device__ bool has(int i) { return kUnits % kThreads == 0 || index(i) < kUnits; }
    static __device__ int row(int i) { return index(i) / kPerRow; }
    static __device__ int column(int i) { return index(i) % kPerRow * kElements; }
  };

  template <int kBits>
  __device__ void load_bits(const Operand& x, int row, int k) {
    using Map = UnitMap<kBits>;
#pragma unroll
    for (int i = 0; i < Map::kPerThread; ++i) {
      if (Map::has(i)) units_[i] = load_unit<kBits>(x, row + Map::row(i), k + Map::column(i));
    }
    if constexpr (Tile::kTakesZeroPoints && kBits <= 8) {
      // Codes of 8 bits with zero points have groups of whole rows, those of 4 bits of 32 columns at least: a
      // unit, of which a thread has one, lies in one group.
      static_assert(Map::kPerThread == 1);
      const int at = row + Map::row(0);
      if (x.zero_points && Map::has(0) && at < x.rows) zero_point_ = load_zero_point(x, at, group_at(x, k));
    }
  }

  Unit units_[UnitMap<Tile::kMaxBits>::kPerThread];
  int zero_point_ = 0;
};

}  // namespace qutlass::cuda
