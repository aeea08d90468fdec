// Matrix multiplication on bf16 tensor cores.
//
// Codes of e2m1, e4m3, e5m2, int8 and int4, less their zero points, are bf16 numbers, so their products are
// exact, and scales are applied to the float32 sum of a group. float16, float32 and nf4 are not: they are
// split into sums of bf16 numbers, and the products of all parts are added. Two parts carry float16 exactly
// and nf4 up to 2^-17, three carry float32. Of two float32 operands the second has two parts, which leaves
// half of what a product may be off.
//
// Tensor cores truncate when they add. They add no more than 256 products; what follows is rounded to
// nearest.
#include "cuda/gemm/kernels.h"
#include "cuda/gemm/tile_loop.cuh"

namespace qutlass::cuda {
namespace {

constexpr int kSegment = 256;

template <int kPartsA, int kPartsB, typename Shape_>
class F32Sums {
 public:
  using Shape = Shape_;
  using TileA = Bf16Tile<kPartsA>;
  using TileB = Bf16Tile<kPartsB>;
  static constexpr bool kZeroPoints = false;
  static constexpr bool kOneSegment = false;

  __device__ explicit F32Sums(const Problem&) {}

  __device__ void multiply(const uint8_t* a, const uint8_t* b, int step) {
    uint32_t b_parts[kPartsB][Shape::kFragmentsN][2];
#pragma unroll
    for (int q = 0; q < kPartsB; ++q)
      load_fragments_b(place_, b + q * Shape::kN * kTilePitch, step, b_parts[q]);
#pragma unroll
    for (int p = 0; p < kPartsA; ++p) {
      uint32_t a_part[Shape::kFragmentsM][4];
      load_fragments_a(place_, a + p * Shape::kM * kTilePitch, step, a_part);
#pragma unroll
      for (int q = 0; q < kPartsB; ++q) {
        // A third part times a second is below 2^-24.
        if (p + q > 2) continue;
#pragma unroll
        for (int i = 0; i < Shape::kFragmentsM; ++i) {
#pragma unroll
          for (int j = 0; j < Shape::kFragmentsN; ++j) multiply_add(segment_[i][j], a_part[i], b_parts[q][j]);
        }
      }
    }
  }

  __device__ void flush(const GroupParts<F32Sums>& parts, int step, int) {
    const float* scales = parts.scales[step];
#pragma unroll
    for (int i = 0; i < Shape::kFragmentsM; ++i) {
      const float a[2] = {scales[place_.row(i)], scales[place_.row(i) + 8]};
#pragma unroll
      for (int j = 0; j < Shape::kFragmentsN; ++j) {
        const float b[2] = {scales[Shape::kM + place_.col(j)], scales[Shape::kM + place_.col(j) + 1]};
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          // In this order, no product of scales alone leaves the range of float32.
          total_[i][j][r] = fmaf(segment_[i][j][r] * a[r / 2], b[r % 2], total_[i][j][r]);
          segment_[i][j][r] = 0;
        }
      }
    }
  }

  __device__ double value(int i, int j, int r) const { return static_cast<double>(total_[i][j][r]); }

 private:
  Place<Shape> place_;
  float segment_[Shape::kFragmentsM][Shape::kFragmentsN][4] = {};
  float total_[Shape::kFragmentsM][Shape::kFragmentsN][4] = {};
};

using Large = TileShape<2, 4, 4, 4>;  // 128 x 128
using Small = TileShape<2, 2, 2, 4>;  // 64 x 64

template <int kPartsA, int kPartsB, typename Shape, typename P>
void launch(const P& problem, cudaStream_t stream) {
  using Sums = F32Sums<kPartsA, kPartsB, Shape>;
  launch_tiles<Sums>(problem, steps_per_segment<Sums>(problem, kSegment), stream);
}

int parts(Kind kind) { return Bf16Tile<1>::takes(kind) ? 1 : kind == Kind::kF32 ? 3 : 2; }
// Of A and of B, as two digits.
int parts(const Problem& problem) { return parts(problem.a.kind) * 10 + parts(problem.b.kind); }

template <typename P>
void launch_small(const P& problem, cudaStream_t stream) {
  switch (parts(problem)) {
    case 11: return launch<1, 1, Small>(problem, stream);
    case 12: return launch<1, 2, Small>(problem, stream);
    case 21: return launch<2, 1, Small>(problem, stream);
    case 22: return launch<2, 2, Small>(problem, stream);
    case 13: return launch<1, 3, Small>(problem, stream);
    case 23: return launch<2, 3, Small>(problem, stream);
    case 31: return launch<3, 1, Small>(problem, stream);
    default: return launch<3, 2, Small>(problem, stream);
  }
}

}  // namespace

void launch_f32_mma(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream) {
  // A large tile reads less per product, but has to be there for every multiprocessor.
  const bool large = problem.m > Small::kM && tile_count<Large>(problem) >= device.multiProcessorCount;
  if (!large) return launch_small(problem, stream);
  switch (parts(problem)) {
    case 11: return launch<1, 1, Large>(problem, stream);
    case 12: return launch<1, 2, Large>(problem, stream);
    case 21: return launch<2, 1, Large>(problem, stream);
    case 22: return launch<2, 2, Large>(problem, stream);
    // Three parts have no room for more.
    default: return launch_small(problem, stream);
  }
}

void launch_f32_mma_experts(const ExpertsProblem& problem, cudaStream_t stream) {
  launch_small(problem, stream);
}

}  // namespace qutlass::cuda
