#include "cuda/skinny/skinny.h"

#include <algorithm>
#include <iterator>

#include "cuda/gemm/problem.cuh"
#include "cuda_stream.h"
#include "reference/matmul_problem.h"

namespace qutlass::cuda {

namespace {

// As require_skinny, for any number of rows of A.
void require_operands(const qutlass_matmul_problem& problem) {
  const qutlass_operand &a = problem.a, &b = problem.b;
  if (!b.is_quantized || !b.quantized.tiles)
    fail(QUTLASS_E_UNSUPPORTED, "b: this kernel reads a weight in tiles; prepare it");
  if (a.is_quantized || a.dense.dtype != QUTLASS_BF16)
    fail(QUTLASS_E_UNSUPPORTED, "a: this kernel multiplies a dense a in bf16");
  if (problem.a_rotation.kind != QUTLASS_ROTATION_IDENTITY)
    fail(QUTLASS_E_UNSUPPORTED, "a_rotation: this kernel does not rotate a");
  const auto k = static_cast<long long>(operand_cols(a));
  if (k % 8 != 0 || reinterpret_cast<uintptr_t>(a.dense.data) % 16 != 0) {
    fail(QUTLASS_E_UNSUPPORTED, "a: this kernel takes rows at multiples of 16 bytes, got K = %lld at %p", k,
         a.dense.data);
  }
  tile_format(b.quantized);
}

SkinnyExtents extents_of(const qutlass_matmul_problem& problem, const TileLayout& layout) {
  const qutlass_operand& a = problem.a;
  return {static_cast<const uint8_t*>(a.dense.data), static_cast<int>(operand_rows(a)),
          static_cast<int>(operand_cols(a)), layout.row_blocks, layout.tiles};
}

SkinnyWeight weight_of(const qutlass_matmul_problem& problem, const TileLayout& layout) {
  const qutlass_quantized& b = problem.b.quantized;
  const auto* tiles = static_cast<const uint8_t*>(b.tiles);
  return {tiles + layout.codes, tiles + layout.scales, reinterpret_cast<const float*>(tiles),
          epilogue_of(problem), static_cast<int>(b.rows)};
}

// What a launch touches.
class Operands {
 public:
  void add(const qutlass_matmul_problem& problem, const void* offsets = nullptr) {
    const qutlass_quantized& b = problem.b.quantized;
    const void* const touched[kEach] = {
        problem.a.dense.data, b.tiles,          b.global_scale, problem.alpha_pointer,
        problem.bias.data,    problem.out.data, offsets};
    std::copy_n(touched, kEach, pointers_ + count_);
    count_ += kEach;
  }
  std::span<const void* const> all() const { return {pointers_, count_}; }

 private:
  static constexpr size_t kEach = 7;
  const void* pointers_[kEach * kMaxWeights];
  size_t count_ = 0;
};

void enqueue_wide(CudaStream& stream, const qutlass_matmul_problem& problem) {
  const TileFormat format = tile_format(problem.b.quantized);
  const TileLayout layout = tile_layout(problem.b.quantized, format);
  const SkinnyProblem p{extents_of(problem, layout), weight_of(problem, layout)};
  Operands operands;
  operands.add(problem);
  stream.run("matmul", operands.all(), [&](cudaStream_t handle) {
    const auto launch = format.code == TileCode::kInt4 ? launch_wide_int4
                        : is_wide(format.code)         ? launch_wide_bytes
                                                       : launch_wide_e2m1;
    launch(p, format, {handle, stream.cuda_device().properties()});
  });
}

// As many of the first problems as one launch takes; returns the others.
std::span<const qutlass_matmul_problem> enqueue_narrow(CudaStream& stream,
                                                       std::span<const qutlass_matmul_problem> problems) {
  const qutlass_matmul_problem& first = problems.front();
  const TileFormat format = tile_format(first.b.quantized);
  SkinnyWeights group{};
  static_cast<SkinnyExtents&>(group) = extents_of(first, tile_layout(first.b.quantized, format));
  group.row_blocks = 0;
  Operands operands;
  for (const qutlass_matmul_problem& problem : problems) {
    const qutlass_quantized& b = problem.b.quantized;
    const bool fits = group.count < kMaxWeights && problem.a.dense.data == first.a.dense.data &&
                      operand_rows(problem.a) == group.m && b.cols == group.k && tile_format(b) == format;
    if (!fits) break;
    const TileLayout layout = tile_layout(b, format);
    group.first[group.count] = group.row_blocks;
    group.weights[group.count++] = weight_of(problem, layout);
    group.row_blocks += layout.row_blocks;
    operands.add(problem);
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

void require_skinny(const qutlass_matmul_problem& problem) {
  require_operands(problem);
  const auto m = static_cast<long long>(operand_rows(problem.a));
  if (m > kSkinnyMaxM) {
    fail(QUTLASS_E_UNSUPPORTED, "a: expected at most %d rows for this kernel, got %lld", kSkinnyMaxM, m);
  }
}

void enqueue_skinny(qutlass_stream& stream, std::span<const qutlass_matmul_problem> problems) {
  CudaStream& cuda = cuda_stream(stream);
  while (!problems.empty()) {
    if (operand_rows(problems.front().a) > kNarrowMaxM) {
      enqueue_wide(cuda, problems.front());
      problems = problems.subspan(1);
    } else {
      problems = enqueue_narrow(cuda, problems);
    }
  }
}

bool takes_experts(const qutlass_matmul_problem& problem, const ExpertRows& rows) {
  // With more rows for each, decoding a weight for every pass of 16 costs more than reading it.
  constexpr int64_t kMostEach = 64;
  if (rows.rows > kMostEach * rows.experts || problem.out.shape[1] % kExpertRows != 0) return false;
  try {
    require_operands(problem);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void enqueue_experts(qutlass_stream& stream, const qutlass_matmul_problem& problem, const ExpertRows& rows) {
  const TileFormat format = tile_format(problem.b.quantized);
  const TileLayout layout = tile_layout(problem.b.quantized, format);
  SkinnyExperts p{extents_of(problem, layout), {weight_of(problem, layout)}, rows};
  p.weights[0].n = static_cast<int>(problem.out.shape[1]);
  p.row_blocks = p.weights[0].n / kTileRows;
  Operands operands;
  operands.add(problem, rows.offsets);
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("matmul of experts", operands.all(), [&](cudaStream_t handle) {
    const auto launch = format.code == TileCode::kInt4 ? launch_experts_int4
                        : is_wide(format.code)         ? launch_experts_bytes
                                                       : launch_experts_e2m1;
    launch(p, format, {handle, cuda.cuda_device().properties()});
  });
}

}  // namespace qutlass::cuda
