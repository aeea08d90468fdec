/* Quantizes a matrix to NVFP4 and multiplies with it, through the C ABI of qutlass alone.
 *
 *   cc -std=c99 quantize.c -I<folder>/include -L<folder> -lqutlass -Wl,-rpath,<folder> -o quantize
 *
 * <folder> holds libqutlass.so and include/qutlass.h: the package @qutlass/core-kernels-linux-x64-gnu.
 *
 * The weights W[n, k] = (n + 1) * v[k mod 4] with v = 6, 3, -1.5, 0.5 lose nothing: the scale of each group
 * of 16 is its largest element over 6, here n + 1, and v are values of e2m1. So out[m, n] = sum over k of
 * A[m, k] W[n, k] can be checked by hand.
 */
#include <stdio.h>
#include <stdlib.h>

#include "qutlass.h"

enum { M = 2, N = 3, K = 32, GROUP = 16 };

static void check(qutlass_status status) {
  if (status == QUTLASS_OK) return;
  fprintf(stderr, "qutlass error %d: %s\n", (int)status, qutlass_last_error());
  exit(1);
}

static void* allocate(qutlass_device* device, size_t bytes) {
  void* data = NULL;
  check(qutlass_alloc(device, bytes, &data));
  return data;
}

/* The tensor [rows, cols] at `data`. */
static qutlass_tensor matrix(void* data, qutlass_dtype dtype, int64_t rows, int64_t cols) {
  qutlass_tensor tensor = {0};
  tensor.data = data;
  tensor.dtype = dtype;
  tensor.rank = 2;
  tensor.shape[0] = rows;
  tensor.shape[1] = cols;
  return tensor;
}

/* The index of a kernel that can run the problem. The registry has the best ones first. */
static int32_t choose_kernel(const qutlass_matmul_problem* problem) {
  qutlass_status status = QUTLASS_E_UNSUPPORTED;
  for (int32_t i = 0; i < qutlass_kernel_count(); ++i) {
    status = qutlass_matmul_supported(i, problem);
    if (status == QUTLASS_OK) return i;
  }
  check(status);
  return -1;
}

int main(void) {
  static const float kValues[4] = {6.0f, 3.0f, -1.5f, 0.5f};
  float host_w[N * K], host_a[M * K], host_out[M * N], dequantized[N * K];
  for (int n = 0; n < N; ++n) {
    for (int k = 0; k < K; ++k) host_w[n * K + k] = (float)(n + 1) * kValues[k % 4];
  }
  for (int m = 0; m < M; ++m) {
    for (int k = 0; k < K; ++k) host_a[m * K + k] = (float)(m + 1) + (float)k / 32;
  }

  qutlass_device* device = NULL;
  qutlass_stream* stream = NULL;
  check(qutlass_device_open("cpu", 0, &device));
  check(qutlass_stream_create(device, &stream));

  qutlass_tensor w = matrix(allocate(device, sizeof host_w), QUTLASS_F32, N, K);
  qutlass_tensor a = matrix(allocate(device, sizeof host_a), QUTLASS_F32, M, K);
  qutlass_tensor out = matrix(allocate(device, sizeof host_out), QUTLASS_F32, M, N);
  qutlass_tensor values = matrix(allocate(device, sizeof dequantized), QUTLASS_F32, N, K);
  check(qutlass_write(stream, host_w, sizeof host_w, &w));
  check(qutlass_write(stream, host_a, sizeof host_a, &a));

  qutlass_quantized q = {0};
  q.format.element = QUTLASS_E2M1;
  q.format.scale_dtype = QUTLASS_F8_E4M3;
  q.format.rule = QUTLASS_RULE_NV;
  q.format.group_rows = 1;
  q.format.group_cols = GROUP;
  q.rows = N;
  q.cols = K;
  q.codes = allocate(device, N * K / 2);
  q.scales = allocate(device, N * K / GROUP);
  q.global_scale = allocate(device, sizeof(float));
  q.scale_layout = QUTLASS_SCALES_ROW;

  /* A global scale of 1: the scales of the groups need no second factor here. qutlass_global_scale finds one.
   */
  const float one = 1.0f;
  qutlass_tensor global_scale = matrix(q.global_scale, QUTLASS_F32, 1, 1);
  check(qutlass_write(stream, &one, sizeof one, &global_scale));
  check(qutlass_quantize(stream, &w, NULL, NULL, 0, &q));
  check(qutlass_dequantize(stream, &q, NULL, &values));

  qutlass_matmul_problem problem = {0};
  problem.a.dense = a;
  problem.b.is_quantized = 1;
  problem.b.quantized = q;
  problem.alpha = 1.0f;
  problem.out = out;
  const int32_t kernel = choose_kernel(&problem);
  check(qutlass_matmul(stream, kernel, &problem));

  /* Nothing has waited so far; host memory is filled once the stream gets there. */
  check(qutlass_read(stream, &values, dequantized, sizeof dequantized));
  check(qutlass_read(stream, &out, host_out, sizeof host_out));
  check(qutlass_stream_synchronize(stream));

  qutlass_kernel_info info;
  check(qutlass_kernel_get_info(kernel, &info));
  printf("qutlass %s, kernel %s\n", qutlass_version(), info.name);
  for (int n = 0; n < N; ++n) {
    printf("w[%d]:", n);
    for (int k = 0; k < 4; ++k) printf(" %g", (double)dequantized[n * K + k]);
    printf(" ...\n");
  }
  for (int m = 0; m < M; ++m) {
    printf("out[%d]:", m);
    for (int n = 0; n < N; ++n) printf(" %g", (double)host_out[m * N + n]);
    printf("\n");
  }

  void* blocks[] = {w.data, a.data, out.data, values.data, q.codes, q.scales, q.global_scale};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i) check(qutlass_free(device, blocks[i]));
  qutlass_memory_stats stats;
  check(qutlass_memory_get_stats(device, &stats));
  printf("blocks in use: %d\n", (int)stats.allocations);
  qutlass_stream_destroy(stream);
  qutlass_device_close(device);
  return 0;
}
