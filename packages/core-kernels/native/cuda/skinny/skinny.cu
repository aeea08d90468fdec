#include "cuda/skinny/skinny.h"

#include <algorithm>
#include <iterator>

#include "cuda/gemm/problem.cuh"
#include "cuda/skinny/bf16_rows.h"
#include "cuda_stream.h"
#include "reference/matmul_problem.h"

namespace qutlass::cuda {

void require_skinny(const qutlass_matmul_problem& problem) {
  const qutlass_operand &a = problem.a, &b = problem.b;
  if (!b.is_quantized || !b.quantized.tiles)
    fail(QUTLASS_E_UNSUPPORTED, "b: this kernel reads a weight in tiles; prepare it");
  const auto m = static_cast<long long>(operand_rows(a));
  if (m > kSkinnyMaxM) {
    fail(QUTLASS_E_UNSUPPORTED, "a: expected at most %d rows for this kernel, got %lld", kSkinnyMaxM, m);
  }
  if (reinterpret_cast<uintptr_t>(b.quantized.tiles) % 16 != 0) {
    fail(QUTLASS_E_UNSUPPORTED, "b: this kernel takes tiles at a multiple of 16 bytes, got %p",
         b.quantized.tiles);
  }
  tile_format(b.quantized);
}

bool skinny_quantizes_a(const qutlass_matmul_problem& problem) { return bf16_rows_quantize(problem); }

namespace {

SkinnyExtents extents_of(const Bf16Rows& a, const TileLayout& layout) {
  return {static_cast<const uint8_t*>(a.data()),
          a.row_factors(),
          a.rows() * a.parts(),
          a.cols(),
          a.rows(),
          a.parts(),
          layout.row_blocks,
          layout.tiles};
}

SkinnyWeight weight_of(const Bf16Rows& a, const qutlass_matmul_problem& problem, const TileLayout& layout) {
  const qutlass_quantized& b = problem.b.quantized;
  const auto* tiles = static_cast<const uint8_t*>(b.tiles);
  Epilogue epilogue = epilogue_of(problem);
  epilogue.a_global_scale = a.global_scale();
  return {tiles + layout.codes, tiles + layout.scales, reinterpret_cast<const float*>(tiles), epilogue,
          static_cast<int>(b.rows)};
}

// What a launch touches.
class Operands {
 public:
  void add(const Bf16Rows& a, const qutlass_matmul_problem& problem) {
    const qutlass_quantized& b = problem.b.quantized;
    const void* const touched[kEach] = {a.data(),        a.global_scale(),      b.tiles,
                                        b.global_scale,  problem.alpha_pointer, problem.bias.data,
                                        problem.out.data};
    std::copy_n(touched, kEach, pointers_ + count_);
    count_ += kEach;
  }
  std::span<const void* const> all() const { return {pointers_, count_}; }

 private:
  static constexpr size_t kEach = 7;
  const void* pointers_[kEach * kMaxWeights];
  size_t count_ = 0;
};

void enqueue_wide(CudaStream& stream, const Bf16Rows& a, const qutlass_matmul_problem& problem) {
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

// As many of the first problems as one launch takes; returns the others.
std::span<const qutlass_matmul_problem> enqueue_narrow(CudaStream& stream, const Bf16Rows& a,
                                                       std::span<const qutlass_matmul_problem> problems) {
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
    const auto launch = format.code == TileCode::kInt4 ? launch_skinny_int4
                        : is_wide(format.code)         ? launch_skinny_bytes
                                                       : launch_skinny_e2m1;
    launch(group, format, {handle, stream.cuda_device().properties()});
  });
  return problems.subspan(static_cast<size_t>(group.count));
}

}  // namespace

void enqueue_skinny(qutlass_stream& stream, std::span<const qutlass_matmul_problem> problems) {
  CudaStream& cuda = cuda_stream(stream);
  while (!problems.empty()) {
    const Bf16Rows a(cuda, problems.front());
    const auto other = std::find_if(problems.begin(), problems.end(),
                                    [&](const auto& problem) { return !a.are_of(problem); });
    const auto count = static_cast<size_t>(other - problems.begin());
    auto with_same_a = problems.first(count);
    problems = problems.subspan(count);
    while (!with_same_a.empty()) {
      if (a.rows() * a.parts() > kNarrowMaxM) {
        enqueue_wide(cuda, a, with_same_a.front());
        with_same_a = with_same_a.subspan(1);
      } else {
        with_same_a = enqueue_narrow(cuda, a, with_same_a);
      }
    }
  }
}

}  // namespace qutlass::cuda
