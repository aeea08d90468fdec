// Products with few rows of A and a B in tiles.
#pragma once

#include <span>

#include "cuda/gemm/expert_rows.h"
#include "device.h"
#include "qutlass.h"

namespace qutlass::cuda {

// Rows of bf16 (bf16_rows.h) up to which the first of the kernels takes A, rows up to which it does so again
// and again where there is no other, and rows of A that working memory is taken for.
inline constexpr int kNarrowMaxM = 16, kRepeatedMaxM = 1024, kSkinnyMaxM = 8192;

// Throws QUTLASS_E_UNSUPPORTED with the reason unless the kernels take the problem.
void require_skinny(const qutlass_matmul_problem& problem);
// Whether an A that is to be quantized is on the way.
bool skinny_quantizes_a(const qutlass_matmul_problem& problem);
// Neighbours of one format under the same A, of up to kNarrowMaxM rows of bf16, share launches.
void enqueue_skinny(qutlass_stream& stream, std::span<const qutlass_matmul_problem> problems);

// The same with integer sums: int8 and int4 weights under int8 codes of A, up to kRepeatedMaxM rows.
void require_integer_skinny(const qutlass_matmul_problem& problem);
bool integer_skinny_quantizes_a(const qutlass_matmul_problem& problem);
void enqueue_integer_skinny(qutlass_stream& stream, std::span<const qutlass_matmul_problem> problems);

// Whether the kernels take a product of experts, and are the ones for it.
bool takes_experts(const qutlass_matmul_problem& problem, const ExpertRows& rows);
void enqueue_experts(qutlass_stream& stream, const qutlass_matmul_problem& problem, const ExpertRows& rows);

}  // namespace qutlass::cuda
