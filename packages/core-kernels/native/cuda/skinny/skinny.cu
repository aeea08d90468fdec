#include "cuda/skinny/skinny.h"

#include "cuda/gemm/problem.cuh"
#include "cuda_stream.h"
#include "reference/matmul_problem.h"

namespace qutlass::cuda {

void require_skinny(const qutlass_matmul_problem& problem) {
  const qutlass_operand &a = problem.a, &b = problem.b;
  if (!b.is_quantized || !b.quantized.tiles)
    fail(QUTLASS_E_UNSUPPORTED, "b: this kernel reads a weight in tiles; prepare it");
  if (a.is_quantized || a.dense.dtype != QUTLASS_BF16)
    fail(QUTLASS_E_UNSUPPORTED, "a: this kernel multiplies a dense a in bf16");
  if (problem.a_rotation.kind != QUTLASS_ROTATION_IDENTITY)
    fail(QUTLASS_E_UNSUPPORTED, "a_rotation: this kernel does not rotate a");
  const auto m = static_cast<long long>(operand_rows(a)), k = static_cast<long long>(operand_cols(a));
  if (m > kSkinnyMaxM) {
    fail(QUTLASS_E_UNSUPPORTED, "a: expected at most %d rows for this kernel, got %lld", kSkinnyMaxM, m);
  }
  if (k % 8 != 0 || reinterpret_cast<uintptr_t>(a.dense.data) % 16 != 0) {
    fail(QUTLASS_E_UNSUPPORTED, "a: this kernel takes rows at multiples of 16 bytes, got K = %lld at %p", k,
         a.dense.data);
  }
  tile_format(b.quantized);
}

void enqueue_skinny(qutlass_stream& stream, const qutlass_matmul_problem& problem) {
  const qutlass_quantized& b = problem.b.quantized;
  const TileFormat format = tile_format(b);
  const TileLayout layout = tile_layout(b, format);
  const auto* tiles = static_cast<const uint8_t*>(b.tiles);
  SkinnyProblem p{};
  p.row_factors = reinterpret_cast<const float*>(tiles);
  p.scales = tiles + layout.scales;
  p.codes = tiles + layout.codes;
  p.a = static_cast<const uint8_t*>(problem.a.dense.data);
  p.epilogue = epilogue_of(problem);
  p.m = static_cast<int>(operand_rows(problem.a));
  p.n = static_cast<int>(b.rows);
  p.k = static_cast<int>(b.cols);
  p.row_blocks = layout.row_blocks;
  p.tiles = layout.tiles;
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("matmul",
           {p.a, b.tiles, b.global_scale, problem.alpha_pointer, problem.bias.data, problem.out.data},
           [&](cudaStream_t handle) {
             const SkinnyLaunch launch{handle, cuda.cuda_device().properties()};
             const bool narrow = p.m <= kNarrowMaxM;
             const auto run = format.code == TileCode::kInt4 ? narrow ? launch_skinny_int4 : launch_wide_int4
                              : is_wide(format.code) ? narrow ? launch_skinny_bytes : launch_wide_bytes
                              : narrow               ? launch_skinny_e2m1
                                                     : launch_wide_e2m1;
             run(p, format, launch);
           });
}

}  // namespace qutlass::cuda
