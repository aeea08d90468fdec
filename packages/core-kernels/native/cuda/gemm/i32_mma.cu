// Matrix multiplication of int8 and int4 matrices on int8 tensor cores.
//
// Products of codes are added in int32 over a segment, K within one group of A and of B. Zero points, which
// would make codes nine bits wide, come in by the sums of the codes themselves:
//   sum (a - z)(b - w) = sum a b - w sum a - z sum b + elements z w,
// exact in double. Scaled sums of segments are added in double.
#include "cuda/atoms/int_to_double.cuh"
#include "cuda/gemm/kernels.h"
#include "cuda/gemm/tile_loop.cuh"

namespace qutlass::cuda {
namespace {

// Products of codes are at most 2^14, so this many of them stay below 2^31.
constexpr int kSegment = 1 << 16;

template <bool kOneSegment_, typename Shape_>
class I32Sums {
 public:
  using Shape = Shape_;
  using TileA = Int8Tile;
  using TileB = Int8Tile;
  static constexpr bool kZeroPoints = true;
  static constexpr bool kOneSegment = kOneSegment_;

  __device__ explicit I32Sums(const Problem& problem)
      : zero_points_(problem.a.zero_points != nullptr || problem.b.zero_points != nullptr) {}

  __device__ void multiply(const uint8_t* a, const uint8_t* b, int step) {
    uint32_t a_codes[Shape::kFragmentsM][4], b_codes[Shape::kFragmentsN][2];
    load_fragments_a(place_, a, step, a_codes);
    load_fragments_b(place_, b, step, b_codes);
#pragma unroll
    for (int i = 0; i < Shape::kFragmentsM; ++i) {
#pragma unroll
      for (int j = 0; j < Shape::kFragmentsN; ++j) multiply_add(segment_[i][j], a_codes[i], b_codes[j]);
    }
    if (!zero_points_) return;
#pragma unroll
    for (int i = 0; i < Shape::kFragmentsM; ++i) {
      a_sums_[i][0] = add_codes(a_codes[i][0], add_codes(a_codes[i][2], a_sums_[i][0]));
      a_sums_[i][1] = add_codes(a_codes[i][1], add_codes(a_codes[i][3], a_sums_[i][1]));
    }
#pragma unroll
    for (int j = 0; j < Shape::kFragmentsN; ++j) {
      b_sums_[j] = add_codes(b_codes[j][0], add_codes(b_codes[j][1], b_sums_[j]));
    }
  }

  __device__ void flush(const GroupParts<I32Sums>& parts, int step, int elements) {
    const float* scales = parts.scales[step];
    if (!zero_points_) {
      add_segment(scales, [&](int i, int j, int r) { return int_to_double(segment_[i][j][r]); });
      return;
    }
    const int32_t* zero_points = parts.zero_points[step];
    double b_zeros[Shape::kFragmentsN][2], b_sums[Shape::kFragmentsN][2];
#pragma unroll
    for (int j = 0; j < Shape::kFragmentsN; ++j) {
      const int sum = add_lanes(b_sums_[j]);
      b_sums_[j] = 0;
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        // Lanes hold the columns of B by lane / 4, and columns of sums by lane % 4.
        b_sums[j][c] = int_to_double(__shfl_sync(0xFFFFFFFFu, sum, (place_.lane % 4 * 2 + c) * 4));
        b_zeros[j][c] = int_to_double(zero_points[Shape::kM + place_.col(j) + c]);
      }
    }
    double a_zeros[Shape::kFragmentsM][2], a_sums[Shape::kFragmentsM][2];
#pragma unroll
    for (int i = 0; i < Shape::kFragmentsM; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        a_zeros[i][h] = int_to_double(zero_points[place_.row(i) + h * 8]);
        a_sums[i][h] = int_to_double(add_lanes(a_sums_[i][h])) - elements * a_zeros[i][h];
        a_sums_[i][h] = 0;
      }
    }
    add_segment(scales, [&](int i, int j, int r) {
      const int h = r / 2, c = r % 2;
      return int_to_double(segment_[i][j][r]) - a_zeros[i][h] * b_sums[j][c] - b_zeros[j][c] * a_sums[i][h];
    });
  }

  __device__ double value(int i, int j, int r) const { return total_[i][j][r]; }

 private:
  static __device__ int add_codes(uint32_t codes, int sum) {
    return __dp4a(static_cast<int>(codes), 0x01010101, sum);
  }
  // The four lanes of a row hold parts of its sum.
  static __device__ int add_lanes(int sum) {
    sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 1);
    return sum + __shfl_xor_sync(0xFFFFFFFFu, sum, 2);
  }

  // Adds product(i, j, r), sums of a segment less zero points, times their scales.
  template <typename Product>
  __device__ void add_segment(const float* scales, Product&& product) {
#pragma unroll
    for (int i = 0; i < Shape::kFragmentsM; ++i) {
      const double a[2] = {scales[place_.row(i)], scales[place_.row(i) + 8]};
#pragma unroll
      for (int j = 0; j < Shape::kFragmentsN; ++j) {
        const double b[2] = {scales[Shape::kM + place_.col(j)], scales[Shape::kM + place_.col(j) + 1]};
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          total_[i][j][r] = fma(product(i, j, r), a[r / 2] * b[r % 2], total_[i][j][r]);
          segment_[i][j][r] = 0;
        }
      }
    }
  }

  Place<Shape> place_;
  bool zero_points_;
  int32_t segment_[Shape::kFragmentsM][Shape::kFragmentsN][4] = {};
  int32_t a_sums_[Shape::kFragmentsM][2] = {};
  int32_t b_sums_[Shape::kFragmentsN] = {};
  double total_[Shape::kFragmentsM][Shape::kFragmentsN][4] = {};
};

// float64 sums of segments take twice the registers of those of a segment: the warps of a tile with one
// segment can have larger parts of it.
using Large = TileShape<2, 4, 4, 4>;         // 128 x 128
using LargeGrouped = TileShape<4, 2, 2, 4>;  // 128 x 64
using Small = TileShape<2, 2, 2, 4>;         // 64 x 64

template <bool kOneSegment, typename LargeShape>
void launch(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream) {
  using LargeSums = I32Sums<kOneSegment, LargeShape>;
  using SmallSums = I32Sums<kOneSegment, Small>;
  const int steps = steps_per_segment<SmallSums>(problem, kSegment);
  // A large tile reads less per product, but has to be there for every multiprocessor.
  const bool large = problem.m > Small::kM && tile_count<LargeShape>(problem) >= device.multiProcessorCount;
  return large ? launch_tiles<LargeSums>(problem, steps, stream)
               : launch_tiles<SmallSums>(problem, steps, stream);
}

bool has_one_segment(const Problem& problem) {
  return problem.a.groups == 1 && problem.b.groups == 1 && problem.k <= kSegment;
}

template <bool kOneSegment>
void launch_experts(const ExpertsProblem& problem, cudaStream_t stream) {
  using Sums = I32Sums<kOneSegment, Small>;
  launch_tiles<Sums>(problem, steps_per_segment<Sums>(problem, kSegment), stream);
}

}  // namespace

void launch_i32_mma(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream) {
  return has_one_segment(problem) ? launch<true, Large>(problem, device, stream)
                                  : launch<false, LargeGrouped>(problem, device, stream);
}

void launch_i32_mma_experts(const ExpertsProblem& problem, cudaStream_t stream) {
  return has_one_segment(problem) ? launch_experts<true>(problem, stream)
                                  : launch_experts<false>(problem, stream);
}

}  // namespace qutlass::cuda
