// The kernels of this folder, each in the file of its name, and what enqueues one.
#pragma once

#include <cuda_runtime.h>

#include "device.h"
#include "qutlass.h"

namespace qutlass::cuda {

struct Problem;
struct ExpertsProblem;
using Launch = void (*)(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream);

// Any problem, one thread per output, float64: the definition.
void launch_reference(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream);

// Problems that are no integer pair, M up to kGemvMaxM: dot products in float32.
inline constexpr int kGemvMaxM = 8;
void launch_gemv(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream);
// Integer pairs with one scale for each row of A, M up to kGemvMaxM: exact sums within groups of B.
void launch_i32_gemv(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream);
// Elements of A up to which every block works on all of them: beyond, another launch takes less time.
inline constexpr int64_t kMostOfBlocks = 16384;
// Whether there is code for blocks that quantize the A of a problem that asks for it (quantize_a.cuh).
bool is_quantized_by_blocks(const qutlass_matmul_problem& problem);
// Whether the kernels above do so.
bool gemv_quantizes_a(const qutlass_matmul_problem& problem);
bool i32_gemv_quantizes_a(const qutlass_matmul_problem& problem);

// Problems that are no integer pair: bf16 tensor cores with float32 sums.
void launch_f32_mma(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream);

// Integer pairs: int8 tensor cores with int32 sums of each group, float64 beyond.
void launch_i32_mma(const Problem& problem, const cudaDeviceProp& device, cudaStream_t stream);

// The same tiles for products of experts, of which each block finds its own.
void launch_f32_mma_experts(const ExpertsProblem& problem, cudaStream_t stream);
void launch_i32_mma_experts(const ExpertsProblem& problem, cudaStream_t stream);

// Throws QUTLASS_E_UNSUPPORTED if an extent is more than the index arithmetic of the kernels takes.
void require_extents(const qutlass_matmul_problem& problem);

// Enqueues the kernel; an A with a rotation is rotated into a dense float32 one before.
void enqueue_matmul(qutlass_stream& stream, const qutlass_matmul_problem& problem, Launch launch);

}  // namespace qutlass::cuda
