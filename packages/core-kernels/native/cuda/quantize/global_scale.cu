// The global scale of a format for a tensor.
#include "cuda/operations.h"
#include "cuda/quantize/ranges.h"
#include "cuda/quantize/source.h"
#include "cuda_stream.h"

namespace qutlass::cuda {
namespace {

__global__ void mx_abs_max_kernel(float* out) { *out = kMxAbsMax; }

}  // namespace

void global_scale(Stream stream, Tensor x, const qutlass_rotation& rotation, const qutlass_format& format,
                  Tensor out) {
  auto* result = static_cast<float*>(out.data);
  if (format.rule == QUTLASS_RULE_MX_ABS_MAX) {
    return cuda_stream(stream).run("global_scale", {result},
                                   [&](cudaStream_t s) { mx_abs_max_kernel<<<1, 1, 0, s>>>(result); });
  }
  const Source source(stream, x, rotation, false);
  const LongGroups whole{source.matrix(), source.rotation(), 1, element_count(x)};
  const DeviceScratch partial(stream.device,
                              static_cast<size_t>(whole.partial_ranges()) * sizeof(GroupRange));
  CudaStream& cuda = cuda_stream(stream);
  cuda.run("global_scale", {x.data, rotation.data, result, source.memory(), partial.as<void>()},
           [&](cudaStream_t s) {
             source.enqueue(s);
             enqueue_nv_global_scale(cuda, whole, partial.as<GroupRange>(), format.rule, result);
           });
}

}  // namespace qutlass::cuda
