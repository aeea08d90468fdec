// MXFP8 with one scale for each square of 32 x 32: a block takes 16 of them, whose scales are one tile of the
// blocked layout, for groups of rows and for groups of columns.
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/operations.h"
#include "cuda/quantize/quantize.cuh"
#include "launch.h"

namespace qutlass::cuda {
namespace {

constexpr int kSide = 32, kAcross = kSquare / kSide;
constexpr int kTiles = 2, kThreads = kSquare * kSquare / (kTiles * kTile);

// A square whose last columns may be missing: whole tiles.
struct NarrowSquare : Square {
  int32_t width;

  __device__ int count(int position, int most) const { return has(position) ? most : 0; }
  __device__ bool has(int position) const { return Square::has(position) && position % kSquare < width; }
  __device__ bool has_all(int count) const { return Square::has_all(count) && width == kSquare; }
};

struct Job {
  DenseInput in;
  RandomSource random;
  qutlass_quantized out, columns;  // that the second scales belong to
  Squares squares;
};

// The range of the elements of the square that a thread has a part of. A lane holds two rows of sixteen
// columns, a warp eight rows, and four warps those of a square.
__device__ GroupRange square_range(const float (&x)[kTiles][kTile]) {
  __shared__ int32_t of_warp[kThreads / kWarp][kAcross];
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  int32_t highest = range_of<kTiles * kTile>(x[0], true).highest;
#pragma unroll
  for (int distance : {1, 8, 16}) highest = max(highest, __shfl_xor_sync(0xFFFFFFFFu, highest, distance));
  if (lane < 2 * kAcross && lane % 2 == 0) of_warp[warp][lane / 2] = highest;
  __syncthreads();
  GroupRange range;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    range.highest = max(range.highest, of_warp[warp / 4 * 4 + i][lane % (2 * kAcross) / 2]);
  return range;
}

// The scales of four groups of a row of q, of which the padding has none but zeros.
__device__ void store_scales(const qutlass_quantized& q, int64_t row, int64_t group, uint32_t bytes) {
  const int64_t groups = scale_cols(q);
  const bool blocked = q.scale_layout == QUTLASS_SCALES_BLOCKED_128X4;
  if (row >= q.rows && !blocked) return;
  const int count = blocked ? kAcross : static_cast<int>(min(int64_t{kAcross}, groups - group));
  store_bytes(static_cast<uint8_t*>(q.scales) + scale_offset(q, row, group), count, bytes);
}

template <bool kStochastic>
__global__ void __launch_bounds__(kThreads, 2) mx_squares_kernel(const __grid_constant__ Job job) {
  await_dependency();
  __shared__ uint8_t scales[kAcross][kAcross];
  const RandomNumbers numbers(job.random);
  const Square whole = job.squares.at(blockIdx.x);
  const int64_t row = quotient(whole.base, job.out.cols), col = whole.base - row * job.out.cols;
  const NarrowSquare square{whole, static_cast<int32_t>(min(int64_t{kSquare}, job.out.cols - col))};
  float x[kTiles][kTile];
  job.in.load(square, x);
  const GroupScale scale = scale_from_range(job.out.format, square_range(x), 1);
  const int first = held_position<kTiles, kTile>(0);
  if (first % kSide == 0 && first / kSquare % kSide == 0)
    scales[first / kSquare / kSide][first % kSquare / kSide] = encode_e8m0(scale.scale);
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
    const int position = held_position<kTiles, kTile>(tile), count = square.count(position, kTile);
    if (count == 0) continue;
    const int64_t offset = square.offset(position);
    TileCodes codes;
    if constexpr (kStochastic) {
      TileRandom random;
      numbers.fill(row + position / kSquare, col + position % kSquare, random);
      encode_tile(job.out.format, scale, x[tile], codes, static_cast<const uint32_t*>(random));
    } else {
      encode_tile(job.out.format, scale, x[tile], codes);
    }
    store_tile(job.out.codes, 8, offset, count, codes);
  }
  __syncthreads();
  // A square that is not there holds zeros, whose scale has the byte 0, as the padding has to.
  const int at = static_cast<int>(threadIdx.x) % kSquare;
  uint32_t bytes = 0;
  if (threadIdx.x < kSquare) {
    for (int i = 0; i < kAcross; ++i) bytes |= uint32_t{scales[at / kSide][i]} << (8 * i);
    store_scales(job.out, row + at, col / kSide, bytes);
  } else if (threadIdx.x < 2 * kSquare) {
    for (int i = 0; i < kAcross; ++i) bytes |= uint32_t{scales[i][at / kSide]} << (8 * i);
    store_scales(job.columns, col + at, row / kSide, bytes);
  }
}

}  // namespace

void quantize_squares(Stream stream, Tensor x, const qutlass_rounding& rounding, const qutlass_quantized& out,
                      void* column_scales) {
  qutlass_quantized columns = out;
  columns.rows = out.cols;
  columns.cols = out.rows;
  columns.scales = column_scales;
  const Job job{{x}, RandomSource(rounding), out, columns, Squares(out.rows, out.cols)};
  const LaunchShape shape{static_cast<unsigned>(job.squares.count()), kThreads};
  with_rounding(rounding, [&](auto stochastic) {
    run_dependent(stream, "quantize_squares",
                  {x.data, rounding.counter, out.codes, out.scales, column_scales},
                  mx_squares_kernel<stochastic()>, shape, job);
  });
}

}  // namespace qutlass::cuda
