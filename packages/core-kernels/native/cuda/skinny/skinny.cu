#include "cuda/skinny/skinny.h"

#include <algorithm>
#include <iterator>

#include "check.h"
#include "cuda/gemm/problem.cuh"
#include "cuda/skinny/bf16_rows.h"
#include "cuda/skinny/problem.cuh"
#include "cuda_stream.h"
#include "reference/matmul_problem.h"

namespace qutlass::cuda {

namespace {

bool is_aligned(const void* at) { return reinterpret_cast<uintptr_t>(at) % 16 == 0; }

bool has_tiles(const qutlass_operand& b) {
  return b.is_quantized && b.quantized.tiles && is_aligned(b.quantized.tiles);
}

void require_tiles(const qutlass_operand& b) {
  if (!b.is_quantized || !b.quantized.tiles)
    fail(QUTLASS_E_UNSUPPORTED, "b: this kernel reads a weight in tiles; prepare it");
  if (!has_tiles(b)) {
    fail(QUTLASS_E_UNSUPPORTED, "b: this kernel takes tiles at a multiple of 16 bytes, got %p",
         b.quantized.tiles);
  }
}

void require_rows(const qutlass_matmul_problem& problem, int most) {
  const auto m = static_cast<long long>(operand_rows(problem.a));
  if (m > most) fail(QUTLASS_E_UNSUPPORTED, "a: expected at most %d rows for this kernel, got %lld", most, m);
}

// Whether there is a kernel for more rows than kNarrowMaxM.
bool has_wide_kernel(const TileFormat& format) { return format.code != TileCode::kNf4; }

}  // namespace

void require_skinny(const qutlass_matmul_problem& problem) {
  require_tiles(problem.b);
  require_rows(problem, has_wide_kernel(tile_format(problem.b.quantized)) ? kSkinnyMaxM : kRepeatedMaxM);
}

bool skinny_quantizes_a(const qutlass_matmul_problem& problem) { return quantizes_on_the_way(problem); }

bool integer_skinny_quantizes_a(const qutlass_matmul_problem& problem) {
  return quantizes_on_the_way(problem) && blocks_make(row_source(problem), 1, true);
}

void require_integer_skinny(const qutlass_matmul_problem& problem) {
  // Products of codes, those of int4 16 times as large, are less than 2^14.
  constexpr int64_t kMaxK = 1 << 17;
  require_rows(problem, kRepeatedMaxM);
  const qutlass_quantized &a = problem.a.quantized, &b = problem.b.quantized;
  if (a.format.element != QUTLASS_INT8 || a.format.zero_point || a.format.group_cols != 0)
    fail(QUTLASS_E_UNSUPPORTED, "a: this kernel multiplies int8 without zero points or scales within a row");
  if (b.format.element == QUTLASS_INT8 && b.format.zero_point)
    fail(QUTLASS_E_UNSUPPORTED, "b: this kernel takes no int8 with zero points");
  if (a.cols > kMaxK || a.cols % 16 != 0 || !is_aligned(a.codes)) {
    fail(QUTLASS_E_UNSUPPORTED,
         "a: this kernel takes rows at multiples of 16 bytes, up to %lld of them, got K = %lld at %p",
         static_cast<long long>(kMaxK), static_cast<long long>(a.cols), a.codes);
  }
  require_tiles(problem.b);
}

namespace {

// A as a launch reads it, and where its rows are among those of D.
struct RowsOfA {
  const uint8_t* data = nullptr;  // or null: blocks make them of the source
  RowSource source{};
  const float* factors = nullptr;
  int factor_step = 1;
  const float* global_scale = nullptr;
  int rows, parts = 1, cols;
  int row_bytes;
  int first = 0;

  explicit RowsOfA(const Bf16Rows& a)
      : data(static_cast<const uint8_t*>(a.data())),
        source(a.source()),
        factors(a.row_factors()),
        global_scale(a.global_scale()),
        rows(a.rows()),
        parts(a.parts()),
        cols(a.cols()),
        row_bytes(parts * cols * 2) {}
  // int8 codes, or what they are made of.
  explicit RowsOfA(const qutlass_matmul_problem& problem)
      : rows(static_cast<int>(operand_rows(problem.a))),
        cols(static_cast<int>(operand_cols(problem.a))),
        row_bytes(cols) {
    if (problem.quantizes_a) {
      source = row_source(problem);
      return;
    }
    const qutlass_quantized& codes = problem.a.quantized;
    data = static_cast<const uint8_t*>(codes.codes);
    factors = static_cast<const float*>(codes.scales);
    factor_step = codes.format.group_rows == 0 ? 0 : 1;
  }

  // Up to `count` rows from `begin` on.
  RowsOfA some(int begin, int count) const {
    RowsOfA part = *this;
    part.data += static_cast<int64_t>(begin) * row_bytes;
    if (factors) part.factors += begin * factor_step;
    part.rows = std::min(count, rows - begin);
    part.first = begin;
    return part;
  }
};

SkinnyExtents extents_of(const RowsOfA& a, const TileLayout& layout) {
  return {a.data, a.factors, a.factor_step,     a.rows * a.parts, a.cols,
          a.rows, a.parts,   layout.row_blocks, layout.tiles,     a.source};
}

SkinnyWeight weight_of(const RowsOfA& a, const qutlass_matmul_problem& problem, const TileLayout& layout) {
  const qutlass_quantized& b = problem.b.quantized;
  const auto* tiles = static_cast<const uint8_t*>(b.tiles);
  Epilogue epilogue = epilogue_of(problem);
  epilogue.a_global_scale = a.global_scale;
  epilogue.out = static_cast<uint8_t*>(epilogue.out) + a.first * b.rows * dtype_bytes(epilogue.out_dtype);
  return {tiles + layout.codes, tiles + layout.scales, reinterpret_cast<const float*>(tiles), epilogue,
          static_cast<int>(b.rows)};
}

// What a launch touches.
class Operands {
 public:
  void add(const RowsOfA& a, const qutlass_matmul_problem& problem, const void* offsets = nullptr) {
    const qutlass_quantized& b = problem.b.quantized;
    const void* const touched[kEach] = {a.data,
                                        a.factors,
                                        a.global_scale,
                                        a.source.a.data,
                                        a.source.a.scales,
                                        a.source.a.zero_points,
                                        a.source.rotation.data,
                                        b.tiles,
                                        b.global_scale,
                                        problem.alpha_pointer,
                                        problem.bias.data,
                                        problem.out.data,
                                        offsets};
    std::copy_n(touched, kEach, pointers_ + count_);
    count_ += kEach;
  }
  std::span<const void* const> all() const { return {pointers_, count_}; }

 private:
  static constexpr size_t kEach = 13;
  const void* pointers_[kEach * kMaxWeights];
  size_t count_ = 0;
};

void enqueue_wide(CudaStream& stream, const RowsOfA& a, const qutlass_matmul_problem& problem) {
  const TileFormat format = tile_format(problem.b.quantized);
  const TileLayout layout = tile_layout(problem.b.quantized, format);
  const SkinnyProblem p{extents_of(a, layout), weight_of(a, problem, layout)};
  Operands operands;
  operands.add(a, problem);
  stream.run("matmul", operands.all(), [&](cudaStream_t handle) {
    const auto launch = format.code == TileCode::kInt4 ? launch_wide_int4
                        : is_wide(format.code)         ? launch_wide_bytes
                                                       : launch_wide_e2m1;
    launch(p, format, {handle, stream.cuda_device().properties()});
  });
}

using LaunchNarrow = void (*)(const SkinnyWeights& p, const TileFormat& format, const SkinnyLaunch& launch);

LaunchNarrow narrow_launch(TileCode code) {
  return code == TileCode::kNf4    ? launch_skinny_nf4
         : code == TileCode::kInt4 ? launch_skinny_int4
         : is_wide(code)           ? launch_skinny_bytes
                                   : launch_skinny_e2m1;
}

// As many of the first problems as one launch takes; returns the others.
std::span<const qutlass_matmul_problem> enqueue_narrow(CudaStream& stream, const RowsOfA& a,
                                                       std::span<const qutlass_matmul_problem> problems,
                                                       LaunchNarrow launch) {
  const qutlass_quantized& first = problems.front().b.quantized;
  const TileFormat format = tile_format(first);
  SkinnyWeights group{};
  static_cast<SkinnyExtents&>(group) = extents_of(a, tile_layout(first, format));
  group.row_blocks = 0;
  Operands operands;
  for (const qutlass_matmul_problem& problem : problems) {
    const qutlass_quantized& b = problem.b.quantized;
    if (group.count == kMaxWeights || tile_format(b) != format) break;
    const TileLayout layout = tile_layout(b, format);
    group.first[group.count] = group.row_blocks;
    group.weights[group.count++] = weight_of(a, problem, layout);
    group.row_blocks += layout.row_blocks;
    operands.add(a, problem);
  }
  std::fill(group.first + group.count, std::end(group.first), group.row_blocks);
  stream.run("matmul", operands.all(), [&](cudaStream_t handle) {
    launch(group, format, {handle, stream.cuda_device().properties()});
  });
  return problems.subspan(static_cast<size_t>(group.count));
}

// As many rows at a time as the kernel takes.
std::span<const qutlass_matmul_problem> enqueue_repeated(CudaStream& stream, const RowsOfA& a,
                                                         std::span<const qutlass_matmul_problem> problems,
                                                         LaunchNarrow launch) {
  const int count = kNarrowMaxM / a.parts;
  auto left = problems;
  for (int begin = 0; begin < a.rows; begin += count)
    left = enqueue_narrow(stream, a.some(begin, count), problems, launch);
  return left;
}

// Calls body(neighbours with the same A) for all problems.
template <typename Body>
void for_each_a(std::span<const qutlass_matmul_problem> problems, const Body& body) {
  while (!problems.empty()) {
    const qutlass_matmul_problem& first = problems.front();
    const auto other = std::find_if(problems.begin(), problems.end(),
                                    [&](const auto& problem) { return !have_same_a(problem, first); });
    const auto count = static_cast<size_t>(other - problems.begin());
    body(problems.first(count));
    problems = problems.subspan(count);
  }
}

}  // namespace

void enqueue_skinny(qutlass_stream& stream, std::span<const qutlass_matmul_problem> problems) {
  CudaStream& cuda = cuda_stream(stream);
  // The other quarters are for weights on their way, and for the sums of warps.
  const size_t block_bytes = cuda.cuda_device().properties().sharedMemPerBlockOptin / 4;
  for_each_a(problems, [&](std::span<const qutlass_matmul_problem> left) {
    const Bf16Rows made(cuda, left.front(), block_bytes);
    const RowsOfA a(made);
    while (!left.empty()) {
      const TileFormat format = tile_format(left.front().b.quantized);
      if (a.rows * a.parts > kNarrowMaxM && has_wide_kernel(format)) {
        enqueue_wide(cuda, a, left.front());
        left = left.subspan(1);
      } else {
        left = enqueue_repeated(cuda, a, left, narrow_launch(format.code));
      }
    }
  });
}

void enqueue_integer_skinny(qutlass_stream& stream, std::span<const qutlass_matmul_problem> problems) {
  CudaStream& cuda = cuda_stream(stream);
  for_each_a(problems, [&](std::span<const qutlass_matmul_problem> left) {
    const RowsOfA a(left.front());
    while (!left.empty()) left = enqueue_repeated(cuda, a, left, launch_skinny_integers);
  });
}

bool takes_experts(const qutlass_matmul_problem& problem, const ExpertRows& rows) {
  // With more rows for each, decoding a weight for every pass of 16 costs more than reading it.
  constexpr int64_t kMostEach = 64;
  return rows.rows <= kMostEach * rows.experts && problem.out.shape[1] % kExpertRows == 0 &&
         rows.rows <= kSkinnyMaxM && has_tiles(problem.b) && !is_integer_pair(problem) &&
         !has_row_factors(problem);
}

void enqueue_experts(qutlass_stream& stream, const qutlass_matmul_problem& problem, const ExpertRows& rows) {
  CudaStream& cuda = cuda_stream(stream);
  const TileFormat format = tile_format(problem.b.quantized);
  const TileLayout layout = tile_layout(problem.b.quantized, format);
  const Bf16Rows made(cuda, problem, 0);
  const RowsOfA a(made);
  SkinnyExperts p{extents_of(a, layout), {weight_of(a, problem, layout)}, rows};
  p.weights[0].n = static_cast<int>(problem.out.shape[1]);
  p.row_blocks = p.weights[0].n / kTileRows;
  Operands operands;
  operands.add(a, problem, rows.offsets);
  cuda.run("matmul of experts", operands.all(), [&](cudaStream_t handle) {
    const auto launch = format.code == TileCode::kNf4    ? launch_experts_nf4
                        : format.code == TileCode::kInt4 ? launch_experts_int4
                        : is_wide(format.code)           ? launch_experts_bytes
                                                         : launch_experts_e2m1;
    launch(p, format, {handle, cuda.cuda_device().properties()});
  });
}

}  // namespace qutlass::cuda
