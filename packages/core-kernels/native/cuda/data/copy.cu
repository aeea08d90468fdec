// Copies of memory and of the corner of a matrix.
#include <algorithm>

#include "check.h"
#include "cuda/operations.h"
#include "cuda_stream.h"
#include "numerics/quantized.h"

namespace qutlass::cuda {
namespace {

constexpr int kThreads = 256;

// Rows in units of T; those of x [x_rows, x_cols] come into the corner of out [.., out_cols], zeros
// elsewhere.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    pad_kernel(const T* x, int64_t x_rows, int64_t x_cols, T* out, int64_t out_cols, int64_t end) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= end) return;
  const int64_t row = i / out_cols, col = i % out_cols;
  out[i] = row < x_rows && col < x_cols ? x[row * x_cols + col] : T{};
}

template <typename T>
void launch_pad(cudaStream_t s, Tensor x, Tensor out) {
  const int64_t bytes = dtype_bytes(x.dtype), unit = sizeof(T);
  const int64_t out_cols = out.shape[1] * bytes / unit, end = out.shape[0] * out_cols;
  pad_kernel<<<static_cast<unsigned>(ceil_div(end, kThreads)), kThreads, 0, s>>>(
      static_cast<const T*>(x.data), x.shape[0], x.shape[1] * bytes / unit, static_cast<T*>(out.data),
      out_cols, end);
}

}  // namespace

void copy(Stream stream, const void* from, void* to, int64_t bytes) {
  cuda_stream(stream).run("copy", {from, to}, [&](cudaStream_t s) {
    check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, s), "copy");
  });
}

void pad(Stream stream, Tensor x, Tensor out) {
  // The largest unit that both matrices consist of.
  const int64_t bytes = dtype_bytes(x.dtype);
  const auto bits = static_cast<uint64_t>(x.shape[1] * bytes) | static_cast<uint64_t>(out.shape[1] * bytes) |
                    reinterpret_cast<uintptr_t>(x.data) | reinterpret_cast<uintptr_t>(out.data);
  cuda_stream(stream).run("pad", {x.data, out.data}, [&](cudaStream_t s) {
    if (bits % 16 == 0) return launch_pad<uint4>(s, x, out);
    if (bits % 4 == 0) return launch_pad<uint32_t>(s, x, out);
    if (bits % 2 == 0) return launch_pad<uint16_t>(s, x, out);
    launch_pad<uint8_t>(s, x, out);
  });
}

}  // namespace qutlass::cuda
