// The kernels of this library, best first, and the C ABI of matrix multiplication.
#include "registry.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "cpu/dense.h"
#include "cpu/tiles/matmul_tiles.h"
#include "cpu_features.h"
#include "gemm_f32.h"
#include "gemm_i32.h"
#include "primitives.h"
#include "reference/matmul.h"
#include "reference/matmul_problem.h"
#include "reference/quantized_a.h"

namespace qutlass {
namespace {

void require_integer_pair(const qutlass_matmul_problem& problem) {
  if (!is_integer_pair(problem))
    fail(QUTLASS_E_UNSUPPORTED, "a and b: this kernel multiplies int8 and int4 matrices");
}

void require_no_integer_pair(const qutlass_matmul_problem& problem) {
  if (is_integer_pair(problem)) {
    fail(QUTLASS_E_UNSUPPORTED,
         "a and b: int8 and int4 matrices are multiplied by kernels with integer accumulators");
  }
}

// A family of kernels with the loops of one instruction set.
template <auto* kMatmul, const auto& kLoops>
void run(Context& context, const qutlass_matmul_problem& problem) {
  kMatmul(context, problem, kLoops);
}

// peak_fraction: from rates measured on one Zen 3 core at 3.2 GHz with M = N = K = 2048 (generic kernels:
// M = 128), of the 32 operations per clock in float32, or 128 on bytes, that its vector units have; with
// tiles on one Zen 4 core, nvfp4 and int4 in groups of 128. These take any number of rows as well. AMX has
// units of its own and counts as the best of the others.
const Kernel kKernels[] = {
    {{"cpu.tiles.i32.amx", "cpu", "amx", "i32", 1, kTileRows, kTileCols, 0, 1, "int8", 0, 1, 0, 0},
     require_integer_tiles,
     run<matmul_tiles_i32, kAmxTileKernels>},
    {{"cpu.tiles.int8.amx", "cpu", "amx", "f32", 1, kTileRows, kTileCols, 0, 1, "int8", 0, 1, 0, 0},
     require_int8_tiles,
     run<matmul_tiles_int8, kAmxTileKernels>},
    {{"cpu.tiles.bf16.amx", "cpu", "amx", "f32", 1, kTileRows, kTileCols, 0, 1, "bf16", 0, 1, 0, 0},
     require_bf16_tiles,
     run<matmul_tiles_bf16, kAmxBf16TileKernels>},
    {{"cpu.tiles.i32.avx512", "cpu", "avx512", "i32", 1, kTileRows, kTileCols, 0, 0.8, "int8", 0, 1, 0, 0},
     require_integer_tiles,
     run<matmul_tiles_i32, kAvx512TileKernels>},
    {{"cpu.tiles.int8.avx512", "cpu", "avx512", "f32", 1, kTileRows, kTileCols, 0, 0.7, "int8", 0, 1, 0, 0},
     require_int8_tiles,
     run<matmul_tiles_int8, kAvx512TileKernels>},
    {{"cpu.tiles.bf16.avx512bf16", "cpu", "avx512bf16", "f32", 1, kTileRows, kTileCols, 0, 0.8, "bf16", 0, 1,
      0, 0},
     require_bf16_tiles,
     run<matmul_tiles_bf16, kAvx512Bf16TileKernels>},
    {{"cpu.tiles.f32.avx512", "cpu", "avx512", "f32", 1, kTileRows, kTileCols, 0, 0.9, "f32", 0, 1, 0, 0},
     require_tiles,
     run<matmul_tiles_f32, kAvx512TileKernels>},
    {{"cpu.dense.avx512", "cpu", "avx512", "f32", 1, kDotCols, kDotBlock, 0, 0.8, "f32", 0, 1, 0, 0},
     require_dense,
     run<matmul_dense, kAvx512DotLoops>},
    {{"cpu.tiles.i32.avx2", "cpu", "avx2", "i32", 1, kTileRows, kTileCols, 0, 0.3, "int8", 0, 1, 0, 0},
     require_integer_tiles,
     run<matmul_tiles_i32, kAvx2TileKernels>},
    {{"cpu.tiles.int8.avx2", "cpu", "avx2", "f32", 1, kTileRows, kTileCols, 0, 0.3, "int8", 0, 1, 0, 0},
     require_int8_tiles,
     run<matmul_tiles_int8, kAvx2TileKernels>},
    {{"cpu.tiles.f32.avx2", "cpu", "avx2", "f32", 1, kTileRows, kTileCols, 0, 0.6, "f32", 0, 1, 0, 0},
     require_tiles,
     run<matmul_tiles_f32, kAvx2TileKernels>},
    {{"cpu.i32.avx2", "cpu", "avx2", "i32", kPanelA, kPanelB, kBlockI32, 0, 0.32, "int8", 0, 1, 0, 0},
     require_integer_pair,
     run<matmul_i32, kAvx2Primitives>},
    {{"cpu.f32.avx2", "cpu", "avx2", "f32", kPanelA, kPanelB, kBlockF32, 0, 0.82, "f32", 0, 1, 0, 0},
     require_no_integer_pair,
     run<matmul_f32, kAvx2Primitives>},
    {{"cpu.i32.generic", "cpu", "", "i32", kPanelA, kPanelB, kBlockI32, 0, 0.01, "int8", 0, 1, 0, 0},
     require_integer_pair,
     run<matmul_i32, kGenericPrimitives>},
    {{"cpu.f32.generic", "cpu", "", "f32", kPanelA, kPanelB, kBlockF32, 0, 0.19, "f32", 0, 1, 0, 0},
     require_no_integer_pair,
     run<matmul_f32, kGenericPrimitives>},
    {{"cpu.reference", "cpu", "", "f64", 1, 1, 1, 0, 0.02, "f32", 0, 1, 0, 0},
     [](const qutlass_matmul_problem&) {},
     matmul_reference},
};

int32_t kernel_count() { return static_cast<int32_t>(std::size(kKernels) + cuda_kernels().size()); }

const Kernel& kernel_at(int32_t index) {
  const int32_t count = kernel_count(), cpu = static_cast<int32_t>(std::size(kKernels));
  if (index < 0 || index >= count)
    fail(QUTLASS_E_ARGUMENT, "kernel: expected 0 to %d, got %d", count - 1, index);
  return index < cpu ? kKernels[index] : cuda_kernels()[static_cast<size_t>(index - cpu)];
}

bool can_run(const Kernel& kernel) {
  return kernel.enqueue ? is_cuda_kernel_available(kernel) : has_isa(kernel.info.requires_isa);
}

std::string find_absence(const Kernel& kernel) {
  if (!can_run(kernel)) {
    return std::string("requires ") + kernel.info.requires_isa +
           ", which this machine lacks or QUTLASS_ISA turns off";
  }
  return kernel.absence ? kernel.absence() : std::string();
}

// Why this machine cannot run the kernel of this index, or an empty string.
const std::string& absence_of(int32_t index) {
  // Found out once: every multiplication asks.
  static const std::vector<std::string> absences = [] {
    std::vector<std::string> list;
    for (int32_t i = 0; i < kernel_count(); ++i) list.push_back(find_absence(kernel_at(i)));
    return list;
  }();
  return absences[static_cast<size_t>(index)];
}

void require_supported(int32_t index, const qutlass_matmul_problem* problem) {
  const Kernel& kernel = kernel_at(index);
  require_matmul_problem(problem);
  const std::string& absence = absence_of(index);
  if (!absence.empty()) fail(QUTLASS_E_UNSUPPORTED, "%s: %s", kernel.info.name, absence.c_str());
  kernel.require_supported(problem->quantizes_a ? with_quantized_a(*problem, problem->a.dense.data)
                                                : *problem);
}

void launch_on_cpu(qutlass_stream& stream, const Kernel& kernel, const qutlass_matmul_problem& problem) {
  launch_product(stream, problem, nullptr, [&kernel, copy = problem](Context& context) {
    with_rotated_a(context, copy,
                   [&](const qutlass_matmul_problem& rotated) { kernel.run(context, rotated); });
  });
}

void enqueue(qutlass_stream& stream, const Kernel& kernel, std::span<const qutlass_matmul_problem> problems) {
  if (kernel.enqueue) return kernel.enqueue(stream, problems);
  for (const qutlass_matmul_problem& problem : problems) launch_on_cpu(stream, kernel, problem);
}

// Problems with the same A that is to be quantized find it so, unless the kernel does it on the way.
void enqueue_all(qutlass_stream& stream, const Kernel& kernel,
                 std::span<const qutlass_matmul_problem> problems) {
  const auto waits = [&](const qutlass_matmul_problem& problem) {
    return problem.quantizes_a && !(kernel.quantizes_a && kernel.quantizes_a(problem));
  };
  if (std::none_of(problems.begin(), problems.end(), waits)) return enqueue(stream, kernel, problems);
  std::list<QuantizedA> quantized;
  std::vector<qutlass_matmul_problem> ready(problems.begin(), problems.end());
  for (qutlass_matmul_problem& problem : ready) {
    if (!waits(problem)) continue;
    if (quantized.empty() || !quantized.back().is_of(problem)) quantized.emplace_back(stream, problem);
    problem = quantized.back().in(problem);
  }
  enqueue(stream, kernel, ready);
}

}  // namespace

const Kernel& first_cpu_kernel(const qutlass_matmul_problem& problem) {
  for (const Kernel& kernel : kKernels) {
    if (!has_isa(kernel.info.requires_isa)) continue;
    try {
      kernel.require_supported(problem);
      return kernel;
    } catch (const Error& refusal) {
      if (refusal.status() != QUTLASS_E_UNSUPPORTED) throw;
    }
  }
  // The reference takes everything.
  return *std::prev(std::end(kKernels));
}

void launch_product(qutlass_stream& stream, const qutlass_matmul_problem& problem, const void* offsets,
                    Work work) {
  const qutlass_operand &a = problem.a, &b = problem.b;
  // Only the half of an operand that is_quantized selects is defined.
  const auto part = [](const qutlass_operand& operand, const void* dense, const void* quantized) {
    return operand.is_quantized ? quantized : dense;
  };
  stream.launch({part(a, a.dense.data, a.quantized.codes), part(a, nullptr, a.quantized.scales),
                 part(a, nullptr, a.quantized.zero_points), part(a, nullptr, a.quantized.global_scale),
                 part(b, b.dense.data, b.quantized.codes), part(b, nullptr, b.quantized.scales),
                 part(b, nullptr, b.quantized.zero_points), part(b, nullptr, b.quantized.global_scale),
                 part(b, nullptr, b.quantized.tiles), a.is_quantized ? nullptr : problem.a_rotation.data,
                 problem.alpha_pointer, problem.bias.data, problem.out.data, offsets},
                std::move(work));
}

}  // namespace qutlass

extern "C" {

int32_t qutlass_kernel_count(void) { return qutlass::kernel_count(); }

qutlass_status qutlass_kernel_get_info(int32_t index, qutlass_kernel_info* info) {
  return qutlass::guarded([&] {
    const qutlass::Kernel& kernel = qutlass::kernel_at(index);
    if (!info) qutlass::fail(QUTLASS_E_ARGUMENT, "info: expected a pointer, got NULL");
    *info = kernel.info;
    info->available = qutlass::absence_of(index).empty();
  });
}

qutlass_status qutlass_matmul_supported(int32_t kernel, const qutlass_matmul_problem* problem) {
  return qutlass::guarded([&] { qutlass::require_supported(kernel, problem); });
}

qutlass_status qutlass_matmul(qutlass_stream* stream, int32_t kernel, const qutlass_matmul_problem* problem) {
  return qutlass_matmul_group(stream, kernel, problem, 1);
}

qutlass_status qutlass_matmul_group(qutlass_stream* stream, int32_t kernel,
                                    const qutlass_matmul_problem* problems, int32_t count) {
  return qutlass::guarded([&] {
    qutlass::require_stream(stream);
    if (count < 1) qutlass::fail(QUTLASS_E_ARGUMENT, "count: expected at least 1, got %d", count);
    for (int32_t i = 0; i < count; ++i) qutlass::require_supported(kernel, problems ? problems + i : nullptr);
    const qutlass::Kernel& chosen = qutlass::kernel_at(kernel);
    if ((chosen.enqueue != nullptr) != (stream->device.operations != nullptr)) {
      qutlass::fail(QUTLASS_E_UNSUPPORTED, "%s: expected a %s stream", chosen.info.name, chosen.info.device);
    }
    qutlass::enqueue_all(*stream, chosen, {problems, static_cast<size_t>(count)});
  });
}

}  // extern "C"
