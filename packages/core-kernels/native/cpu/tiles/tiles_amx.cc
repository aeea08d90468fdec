// Products with tiles on AMX, whose units multiply matrices of 16 rows of A and of B, and 64 bytes of each
// row: for panels of 32 rows. The tile registers 0 to 3 hold sums, 4 and 5 rows of A, 6 and 7 those of B.
#include <immintrin.h>

#include "cpu/tiles/avx512bf16.h"
#include "cpu/tiles/rows.h"
#include "cpu/tiles/select.h"

namespace qutlass {
namespace {

constexpr int kUnitRows = 16;
constexpr int kUnitBytes = 64;  // of a row, and of a register's row

// GCC does not know that its intrinsics for these registers read and write memory: what is stored before has
// to be there, and what is read afterwards is what they stored.
[[gnu::always_inline]] inline void keep_memory() { asm volatile("" ::: "memory"); }

// The shapes of the registers, as LDTILECFG reads them. Taken back at the end, or every switch between
// threads would save the registers.
template <int kBytes>
class Units {
 public:
  Units() {
    constexpr int kStep = kBytes < kUnitBytes ? kBytes : kUnitBytes;
    alignas(64) Shapes shapes = {1, 0, {}, {}, {}};
    for (int i = 0; i < 8; ++i) {
      const bool is_a = i == 4 || i == 5, is_b = i >= 6;
      shapes.row_bytes[i] = is_a ? kStep : kUnitBytes;
      shapes.rows[i] = is_b ? kStep / 4 : kUnitRows;
    }
    keep_memory();
    _tile_loadconfig(&shapes);
  }
  Units(const Units&) = delete;
  Units& operator=(const Units&) = delete;
  ~Units() { _tile_release(); }

 private:
  struct Shapes {
    uint8_t palette, first_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  };
  static_assert(sizeof(Shapes) == 64);
};

struct Amx : Avx512 {
  static constexpr int kRows = 2 * kUnitRows, kSumRows = kRows, kMatrixRows = kRows;
  template <int, int kBytes>
  using MatrixUnits = Units<kBytes>;

  // Adds the products of kCols codes. a: [row][kCols].
  template <TileCode kCode, int kCols>
  static void add_matrix(const uint8_t* a, const uint8_t* b, Ints (&acc)[kRows]) {
    using Codes = Avx512::Codes<kCode>;
    constexpr int kStep = kCols < kUnitBytes ? kCols : kUnitBytes;
    keep_memory();
    _tile_loadd(0, acc, kUnitBytes);
    _tile_loadd(1, acc + kUnitRows, kUnitBytes);
    for (int k = 0; k < kCols; k += kStep, b += kStep * (kTileRows * Codes::kBits / 8)) {
      alignas(64) uint8_t bytes[kStep / 4][kUnitBytes];
      const uint8_t* words = b;
      if constexpr (Codes::kBits == 4) {
        for (int i = 0; i < kStep / 8; ++i) {
          Ints first, second;
          Codes::bytes(b + i * kWordBytes, first, second);
          _mm512_store_si512(bytes[2 * i], first);
          _mm512_store_si512(bytes[2 * i + 1], second);
        }
        words = bytes[0];
        keep_memory();
      }
      _tile_loadd(6, words, kWordBytes);
      _tile_loadd(4, a + k, kCols);
      _tile_loadd(5, a + kUnitRows * kCols + k, kCols);
      _tile_dpbsud(0, 4, 6);
      _tile_dpbsud(1, 5, 6);
    }
    _tile_stored(0, acc, kUnitBytes);
    _tile_stored(1, acc + kUnitRows, kUnitBytes);
    keep_memory();
  }
};

struct AmxPairs : Avx512Pairs {
  static constexpr int kRows = 2 * kUnitRows, kSumRows = kRows, kMatrixRows = kRows;
  template <int, int kBytes>
  using MatrixUnits = Units<kBytes>;

  // Adds the products of kCols codes of two tiles. a: [row][kCols / 2] pairs.
  template <TileCode kCode, int kCols, bool kZeros, typename Zeros>
  static void add_matrix(const float* a, const uint8_t* b, int64_t next, const Zeros (&zeros)[kTiles],
                         Floats (&acc)[kTiles][kRows][1]) {
    static_assert(kTiles == 2);
    using Codes = Avx512Pairs::Codes<kCode>;
    constexpr int kPairs = kCols / 2, kStep = kPairs < kUnitRows ? kPairs : kUnitRows;
    constexpr int kPairsOfWord = 16 / Codes::kBits;
    keep_memory();
    _tile_loadd(0, acc[0], kUnitBytes);
    _tile_loadd(1, acc[0] + kUnitRows, kUnitBytes);
    _tile_loadd(2, acc[1], kUnitBytes);
    _tile_loadd(3, acc[1] + kUnitRows, kUnitBytes);
    for (int k = 0; k < kPairs; k += kStep) {
      Values values[kTiles][kStep];
      for (int t = 0; t < kTiles; ++t) {
        for (int i = 0; i < kStep; ++i) {
          const uint8_t* const word = b + t * next + (k + i) / kPairsOfWord * kWordBytes;
          values[t][i] = Codes::template values<kZeros>(load(word), i % kPairsOfWord, zeros[t]);
        }
      }
      keep_memory();
      _tile_loadd(6, values[0], kUnitBytes);
      _tile_loadd(7, values[1], kUnitBytes);
      _tile_loadd(4, a + k, 4 * kPairs);
      _tile_loadd(5, a + kUnitRows * kPairs + k, 4 * kPairs);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 5, 6);
      _tile_dpbf16ps(2, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, acc[0], kUnitBytes);
    _tile_stored(1, acc[0] + kUnitRows, kUnitBytes);
    _tile_stored(2, acc[1], kUnitBytes);
    _tile_stored(3, acc[1] + kUnitRows, kUnitBytes);
    keep_memory();
  }
};

// Panels of fewer rows are those of AVX-512.
template <typename V, const TileKernels& kOthers>
TileMultiply find_matrix(const TileFormat& format, Packing packing, int block, int rows) {
  return rows == V::kMatrixRows ? find<V>(format, packing, block, rows)
                                : kOthers.find(format, packing, block, rows);
}

TileDecode decode_nothing(const TileFormat&, Packing) { return nullptr; }

}  // namespace

const TileKernels kAmxTileKernels = {Amx::kTiles, Amx::kMatrixRows,
                                     rows<Amx>,   find_matrix<Amx, kAvx512TileKernels>,
                                     0,           decode_nothing,
                                     int8_scale,  round,
                                     correct,     finish};
const TileKernels kAmxBf16TileKernels = {AmxPairs::kTiles,
                                         AmxPairs::kMatrixRows,
                                         rows<AmxPairs>,
                                         find_matrix<AmxPairs, kAvx512Bf16TileKernels>,
                                         0,
                                         decode_nothing,
                                         int8_scale,
                                         round,
                                         correct,
                                         finish};

}  // namespace qutlass
