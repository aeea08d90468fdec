#include "matmul.h"

#include <vector>

#include "convert.h"
#include "handles.h"
#include "qutlass.h"

namespace qutlass::node {
namespace {

// The arguments of a problem, from `first` on.
constexpr size_t kProblemArguments = 9;

qutlass_matmul_problem problem_of(const Napi::CallbackInfo& info, size_t first) {
  qutlass_matmul_problem problem{};
  problem.a = operand_of(info, first);
  problem.b = operand_of(info, first + 1);
  if (const auto* rotation = Argument<const qutlass_rotation*>::get(info, first + 2))
    problem.a_rotation = *rotation;
  if (!is_absent(info[first + 3])) {
    problem.quantizes_a = 1;
    problem.a_format = *Argument<const qutlass_format*>::get(info, first + 3);
  }
  problem.alpha = Argument<float>::get(info, first + 4);
  problem.alpha_pointer = static_cast<const float*>(data_of(info, first + 5));
  if (const auto* bias = Argument<const qutlass_tensor*>::get(info, first + 6)) problem.bias = *bias;
  if (const auto* out = Argument<const qutlass_tensor*>::get(info, first + 7)) problem.out = matrix_of(*out);
  problem.accuracy = Argument<int32_t>::get(info, first + 8);
  return problem;
}

}  // namespace

Napi::Value matmul(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_matmul_problem problem = problem_of(info, 2);
  check(info.Env(), qutlass_matmul(stream, Argument<int32_t>::get(info, 1), &problem));
  return info.Env().Undefined();
}

Napi::Value matmul_group(const Napi::CallbackInfo& info) {
  constexpr size_t kFirst = 2;
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  std::vector<qutlass_matmul_problem> problems;
  for (size_t i = kFirst; i < info.Length(); i += kProblemArguments) problems.push_back(problem_of(info, i));
  check(info.Env(), qutlass_matmul_group(stream, Argument<int32_t>::get(info, 1), problems.data(),
                                         static_cast<int32_t>(problems.size())));
  return info.Env().Undefined();
}

Napi::Value matmul_experts(const Napi::CallbackInfo& info) {
  qutlass_stream* stream = Argument<qutlass_stream*>::get(info, 0);
  const qutlass_matmul_problem problem = problem_of(info, 2);
  check(info.Env(), qutlass_matmul_experts(stream, &problem, Argument<const qutlass_tensor*>::get(info, 1)));
  return info.Env().Undefined();
}

Napi::Value matmul_supported(const Napi::CallbackInfo& info) {
  const qutlass_matmul_problem problem = problem_of(info, 1);
  const qutlass_status status = qutlass_matmul_supported(Argument<int32_t>::get(info, 0), &problem);
  if (status == QUTLASS_OK) return info.Env().Null();
  return make_error(info.Env(), status, qutlass_last_error());
}

Napi::Value kernels(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (int32_t i = 0; i < qutlass_kernel_count(); ++i) {
    qutlass_kernel_info kernel;
    check(info.Env(), qutlass_kernel_get_info(i, &kernel));
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("index", i);
    object.Set("name", kernel.name);
    object.Set("device", kernel.device);
    object.Set("requiresIsa", kernel.requires_isa);
    object.Set("accumulator", kernel.accumulator);
    Napi::Array tile = Napi::Array::New(info.Env(), 3);
    tile.Set(0u, kernel.tile_m);
    tile.Set(1u, kernel.tile_n);
    tile.Set(2u, kernel.tile_k);
    object.Set("tile", tile);
    object.Set("available", kernel.available != 0);
    object.Set("peakFraction", kernel.peak_fraction);
    object.Set("precision", kernel.precision);
    object.Set("decodePerClock", kernel.decode_per_clock);
    object.Set("bandwidthFraction", kernel.bandwidth_fraction);
    object.Set("maxM", kernel.max_m);
    object.Set("onRequest", kernel.on_request != 0);
    list.Set(static_cast<uint32_t>(i), object);
  }
  return list;
}

}  // namespace qutlass::node
