// A quantized matrix in rows to tiles, once for a weight.
#include "check.h"
#include "cuda/operations.h"
#include "cuda/skinny/expand.cuh"
#include "cuda_stream.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256;

struct TileJob {
  qutlass_quantized q;
  TileFormat format;
  TileLayout layout;
  float* factors;
  uint8_t* scales;
  uint8_t* codes;
};

// The index of this thread's item, if it is below `count`.
__device__ bool item(int64_t count, int64_t& index) {
  index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  return index < count;
}

__device__ float scale_of(const qutlass_quantized& q, int64_t row, int64_t col) {
  return load_scale(q, scale_offset(q, row / group_rows(q), col / group_cols(q)));
}

// A NaN anywhere makes every product with the row NaN.
__device__ void mark_nan(const TileJob& job, int64_t row) { job.factors[row] = __uint_as_float(0x7FC00000u); }

// Products may read tiles before the kernel before them has ended: this one stands between.
__global__ void fence_kernel() {}

__global__ void __launch_bounds__(kThreads) factors_kernel(TileJob job) {
  int64_t row;
  if (!item(int64_t{job.layout.row_blocks} * kTileRows, row)) return;
  const bool own = job.format.scale == TileScale::kNone && row < job.q.rows;
  job.factors[row] = own ? scale_of(job.q, row, 0) : 1.0f;
}

// A scale for a thread, and its zero point.
__global__ void __launch_bounds__(kThreads) scales_kernel(TileJob job) {
  const TileFormat& format = job.format;
  const bool by_16 = format.code == TileCode::kE2M1By16;
  const int per_tile = by_16 ? 128 : kTileRows * format.groups, cols = tile_cols(format.code);
  int64_t index;
  if (!item(int64_t{job.layout.row_blocks} * job.layout.tiles * per_tile, index)) return;
  const int64_t tile = index / per_tile;
  const int at = static_cast<int>(index % per_tile);
  // [lane or row in 8][group][row half]
  const int groups = by_16 ? 2 : format.groups;
  const int lane = at / (2 * groups), group = at / 2 % groups, half = at % 2;
  const int64_t row = tile / job.layout.tiles * kTileRows + (by_16 ? lane / 4 : lane) + 8 * half;
  const int64_t col =
      tile % job.layout.tiles * cols + (by_16 ? group * 64 + lane % 4 * 16 : group * (cols / groups));
  const bool inside = row < job.q.rows && col < job.q.cols;
  uint8_t* block = job.scales + tile * format.tile_scale_bytes();
  if (format.scale != TileScale::kNone) {
    float scale = inside ? scale_of(job.q, row, col) : 0.0f;
    if (scale != scale) {
      mark_nan(job, row);
      scale = 0;
    }
    switch (format.scale) {
      case TileScale::kF32: reinterpret_cast<float*>(block)[at] = scale; break;
      case TileScale::kBF16: reinterpret_cast<uint16_t*>(block)[at] = f32_to_bf16(scale); break;
      case TileScale::kE8M0: block[at] = scale > 0 ? encode_e8m0(scale) : uint8_t{0}; break;
      default: block[at] = E4M3::encode(fabsf(scale)); break;
    }
  }
  if (format.zero_points) {
    const int zero = inside ? load_zero_point(job.q, row / group_rows(job.q), col / group_cols(job.q)) : 0;
    const int excess = format.code == TileCode::kInt8 ? 128 : 0;
    auto* zeros = reinterpret_cast<uint16_t*>(block + 8 * format.lane_scale_bytes());
    zeros[at] = f32_to_bf16(static_cast<float>(-zero - excess) * kIntegerUnit);
  }
}

// A code as tiles hold it. Where the scale has no place for a sign, the code takes it.
__device__ uint32_t tile_code(const TileJob& job, int64_t row, int64_t col) {
  const bool wide = is_wide(job.format.code), inside = row < job.q.rows && col < job.q.cols;
  const uint32_t code =
      inside ? load_code(job.q.codes, wide ? 8 : 4, row * job.q.cols + col) & (wide ? 0xFFu : 0xFu) : 0;
  const uint32_t magnitude = code & 0x7Fu;
  switch (job.q.format.element) {
    case QUTLASS_INT4: return code ^ 8u;
    case QUTLASS_INT8: return code ^ 0x80u;
    case QUTLASS_E2M1:
      return job.format.scale == TileScale::kE4M3 && inside && scale_of(job.q, row, col) < 0 ? code ^ 8u
                                                                                             : code;
    case QUTLASS_E4M3:
      if (magnitude < 0x7Fu) return code;
      break;
    case QUTLASS_E5M2:
      if (magnitude < 0x7Cu) return code;
      break;
    default: return code;
  }
  mark_nan(job, row);
  return 0;
}

// A word of codes for a thread.
__global__ void __launch_bounds__(kThreads) codes_kernel(TileJob job) {
  constexpr int kWords = kTileBytes / 4;
  const TileCode code = job.format.code;
  int64_t index;
  if (!item(int64_t{job.layout.row_blocks} * job.layout.tiles * kWords, index)) return;
  const int64_t tile = index / kWords;
  const int at = static_cast<int>(index % kWords), unit = at / 128, lane = at / 4 % 32, word = at % 4;
  const int64_t first_row = tile / job.layout.tiles * kTileRows;
  const int64_t first_col = tile % job.layout.tiles * tile_cols(code);
  const auto element = [&](int step, int reg, int half) {
    return tile_code(job, first_row + tile_row(lane, reg),
                     first_col + tile_column(code, unit, lane, step, reg, half));
  };
  uint32_t out = 0;
  if (code == TileCode::kNf4) {
    for (int reg = 0; reg < 4; ++reg) out |= (element(word, reg, 0) | element(word, reg, 1) << 4) << 8 * reg;
  } else if (is_wide(code)) {
    for (int i = 0; i < 4; ++i) out |= element(word / 2, word % 2 * 2 + i % 2, i / 2) << 8 * i;
  } else {
    for (int half = 0; half < 2; ++half) {
      const uint32_t codes[4] = {element(word, 0, half), element(word, 1, half), element(word, 2, half),
                                 element(word, 3, half)};
      const uint32_t bits = code == TileCode::kInt4
                                ? codes[0] | codes[1] << 4 | codes[2] << 8 | codes[3] << 12
                                : pack_e2m1(codes);
      out |= bits << 16 * half;
    }
  }
  reinterpret_cast<uint32_t*>(job.codes)[index] = out;
}

unsigned grid(int64_t items) { return static_cast<unsigned>(ceil_div(items, kThreads)); }

constexpr int64_t align(int64_t bytes) { return ceil_div(bytes, 256) * 256; }

}  // namespace

TileFormat tile_format(const qutlass_quantized& q) {
  const qutlass_format& f = q.format;
  const bool row = f.group_cols == 0;
  const auto groups = [&](int cols) { return row || f.group_cols >= cols ? 1 : cols / f.group_cols; };
  switch (f.element) {
    case QUTLASS_INT4:
    case QUTLASS_UINT4: {
      const TileScale scale = row                             ? TileScale::kNone
                              : f.scale_dtype == QUTLASS_BF16 ? TileScale::kBF16
                                                              : TileScale::kF32;
      return {TileCode::kInt4, scale, groups(128), f.zero_point != 0};
    }
    case QUTLASS_NF4: return {TileCode::kNf4, row ? TileScale::kNone : TileScale::kF32, groups(128), false};
    case QUTLASS_E2M1:
      if (f.scale_dtype == QUTLASS_F8_E8M0) return {TileCode::kE2M1, TileScale::kE8M0, 4, false};
      return {TileCode::kE2M1By16, TileScale::kE4M3, 1, false};
    case QUTLASS_INT8: return {TileCode::kInt8, TileScale::kNone, 1, f.zero_point != 0};
    case QUTLASS_E4M3:
    case QUTLASS_E5M2: {
      const TileCode code = f.element == QUTLASS_E4M3 ? TileCode::kE4M3 : TileCode::kE5M2;
      if (f.scale_dtype == QUTLASS_F8_E8M0) return {code, TileScale::kE8M0, 2, false};
      return {code, row ? TileScale::kNone : TileScale::kF32, 1, false};
    }
    default: fail(QUTLASS_E_UNSUPPORTED, "q: there are no tiles for element %d", f.element);
  }
}

TileLayout tile_layout(const qutlass_quantized& q, const TileFormat& format) {
  TileLayout layout{};
  // Kernels take row blocks two by two.
  layout.row_blocks = static_cast<int>(ceil_div(q.rows, 2 * kTileRows) * 2);
  layout.tiles = static_cast<int>(ceil_div(q.cols, tile_cols(format.code)));
  const int64_t tiles = int64_t{layout.row_blocks} * layout.tiles;
  layout.scales = align(int64_t{layout.row_blocks} * kTileRows * int64_t{sizeof(float)});
  layout.codes = layout.scales + align(tiles * format.tile_scale_bytes());
  layout.bytes = layout.codes + tiles * kTileBytes;
  return layout;
}

int64_t tile_bytes(const qutlass_quantized& q) { return tile_layout(q, tile_format(q)).bytes; }

void tile(Stream stream, const qutlass_quantized& q, void* out) {
  const TileFormat format = tile_format(q);
  const TileLayout layout = tile_layout(q, format);
  auto* bytes = static_cast<uint8_t*>(out);
  const TileJob job{
      q, format, layout, reinterpret_cast<float*>(bytes), bytes + layout.scales, bytes + layout.codes};
  const int64_t tiles = int64_t{layout.row_blocks} * layout.tiles;
  cuda_stream(stream).run("tile", {q.codes, q.scales, q.zero_points, out}, [&](cudaStream_t s) {
    // Between its parts there is room that nothing else fills.
    check(cudaMemsetAsync(out, 0, static_cast<size_t>(layout.codes), s), "tile");
    factors_kernel<<<grid(int64_t{layout.row_blocks} * kTileRows), kThreads, 0, s>>>(job);
    if (format.tile_scale_bytes() > 0) {
      const int per_tile = format.code == TileCode::kE2M1By16 ? 128 : kTileRows * format.groups;
      scales_kernel<<<grid(tiles * per_tile), kThreads, 0, s>>>(job);
    }
    codes_kernel<<<grid(tiles * (kTileBytes / 4)), kThreads, 0, s>>>(job);
    fence_kernel<<<1, 1, 0, s>>>();
  });
}

}  // namespace qutlass::cuda
