/* qutlass.h: the C ABI of the qutlass kernels.
 *
 * Plain structs, device pointers, a stream, and a status code. Every operation checks its arguments at once,
 * then enqueues the work on the stream and returns; nothing waits for a kernel except the functions that say
 * so. A call that fails changes nothing, and qutlass_last_error() names the argument, what was expected and
 * what came.
 *
 * Shapes are row-major and contiguous. A matrix "of groups" is scaled along its last dimension K.
 */
#ifndef QUTLASS_H
#define QUTLASS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define QUTLASS_API __declspec(dllexport)
#else
#define QUTLASS_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with every incompatible change; the Node loader refuses a library of another version. */
#define QUTLASS_ABI_VERSION 4
#define QUTLASS_MAX_RANK 4

typedef enum qutlass_status {
  QUTLASS_OK = 0,
  QUTLASS_E_ARGUMENT = 1,
  QUTLASS_E_SHAPE = 2,
  QUTLASS_E_DTYPE = 3,
  QUTLASS_E_FORMAT = 4,
  QUTLASS_E_UNSUPPORTED = 5,
  QUTLASS_E_OUT_OF_MEMORY = 6,
  QUTLASS_E_NO_DEVICE = 7,
  QUTLASS_E_CAPTURE = 8,
  QUTLASS_E_CUDA = 9,
  QUTLASS_E_INTERNAL = 10
} qutlass_status;

typedef enum qutlass_dtype {
  QUTLASS_F32 = 0,
  QUTLASS_BF16 = 1,
  QUTLASS_F16 = 2,
  QUTLASS_I32 = 3,
  QUTLASS_I8 = 4,
  QUTLASS_U8 = 5,
  QUTLASS_F8_E4M3 = 6, /* e4m3fn: no infinity, NaN is 0x7F and 0xFF */
  QUTLASS_F8_E5M2 = 7,
  QUTLASS_F8_E8M0 = 8, /* byte b means 2^(b-127), 0xFF is NaN */
  QUTLASS_DTYPE_COUNT = 9
} qutlass_dtype;

/* What one quantized code means. Codes of 4 bits are packed two to a byte, low nibble first; others take a
 * byte. */
typedef enum qutlass_element {
  QUTLASS_E2M1 = 0,
  QUTLASS_E2M3 = 1,
  QUTLASS_E3M2 = 2,
  QUTLASS_E4M3 = 3,
  QUTLASS_E5M2 = 4,
  QUTLASS_E8M0 = 5,
  QUTLASS_INT8 = 6,
  QUTLASS_INT4 = 7,  /* two's complement, -8..7 */
  QUTLASS_UINT4 = 8, /* 0..15, used with a zero point */
  QUTLASS_NF4 = 9,   /* the 16 quantiles of QLoRA, -1..1 */
  QUTLASS_ELEMENT_COUNT = 10
} qutlass_element;

/* How the scale of a group is found. */
typedef enum qutlass_rule {
  QUTLASS_RULE_AMAX = 0,       /* scale = amax / largest element, or the range for a zero point */
  QUTLASS_RULE_MX_FLOOR = 1,   /* 2^(floor(log2 amax) - emax), OCP MX 1.0 */
  QUTLASS_RULE_MX_RCEIL = 2,   /* 2^ceil(log2(amax / largest element)) */
  QUTLASS_RULE_MX_ABS_MAX = 3, /* 2^floor(log2 amax), elements times the global scale 3 (QuTLASS) */
  QUTLASS_RULE_MX_QUEST = 4,   /* from the standard deviation, with a clip mask (QuEST) */
  QUTLASS_RULE_NV = 5,         /* e4m3 scale under a global scale (NVFP4) */
  QUTLASS_RULE_NV_FOUR_SIX = 6 /* as NV, each group mapped to 6 or to 4, whichever has the smaller error */
} qutlass_rule;

typedef enum qutlass_scale_layout {
  QUTLASS_SCALES_ROW = 0,          /* [rows, groups], row-major */
  QUTLASS_SCALES_BLOCKED_128X4 = 1 /* tiles of 128 rows x 4 groups, zero padded; 1-byte scales only */
} qutlass_scale_layout;

typedef struct qutlass_device qutlass_device;
typedef struct qutlass_stream qutlass_stream;
typedef struct qutlass_event qutlass_event;
typedef struct qutlass_graph qutlass_graph;

/* A contiguous row-major tensor; shape[0..rank). data may be NULL only where a comment says "or absent". */
typedef struct qutlass_tensor {
  void* data;
  int32_t dtype; /* qutlass_dtype */
  int32_t rank;
  int64_t shape[QUTLASS_MAX_RANK];
} qutlass_tensor;

typedef struct qutlass_format {
  int32_t element;     /* qutlass_element */
  int32_t scale_dtype; /* qutlass_dtype */
  int32_t rule;        /* qutlass_rule */
  int32_t group_rows;  /* 1, 128, or 0 for all rows */
  int32_t group_cols;  /* elements along K, or 0 for the whole row */
  int32_t zero_point;  /* 1: codes carry a zero point per group */
} qutlass_format;

/* A quantized matrix [rows, cols]. The value of code q is
 *   (decode(q) - zero_point) * scale / global_scale
 * with G = ceil(cols / group_cols) groups along a row and R = ceil(rows / group_rows) rows of groups. */
typedef struct qutlass_quantized {
  qutlass_format format;
  int64_t rows;
  int64_t cols;
  void* codes;          /* [rows, cols] bytes, or [rows, cols / 2] */
  void* scales;         /* [R, G] of format.scale_dtype, laid out by scale_layout */
  void* zero_points;    /* [R, G] int8 (INT8) or uint8 (UINT4), or absent */
  float* global_scale;  /* one float on the device, or absent (then 1) */
  uint8_t* clip_mask;   /* [rows, cols / 8] bits, 1 where the element was not clipped, or absent */
  int32_t scale_layout; /* qutlass_scale_layout */
  const void* tiles; /* the matrix once more as qutlass_tile lays it out, for the kernels that want it so; or
                        absent */
} qutlass_quantized;

typedef enum qutlass_rotation_kind {
  QUTLASS_ROTATION_IDENTITY = 0,
  QUTLASS_ROTATION_HADAMARD = 1, /* diag(signs) * Sylvester Hadamard, entries +-bf16(size^-0.5) */
  QUTLASS_ROTATION_MATRIX = 2    /* any bf16 matrix */
} qutlass_rotation_kind;

/* y = reshape(x, [-1, size]) @ H in float32 on bf16 operands, not rounded afterwards. */
typedef struct qutlass_rotation {
  int32_t kind;     /* qutlass_rotation_kind */
  int32_t size;     /* R; divides K */
  const void* data; /* HADAMARD: int8 signs [R] or absent; MATRIX: bf16 [R, R] */
} qutlass_rotation;

typedef enum qutlass_rounding_kind {
  QUTLASS_ROUNDING_NEAREST = 0,   /* ties to the even code */
  QUTLASS_ROUNDING_STOCHASTIC = 1 /* to one of the two neighbouring codes, more likely to the nearer */
} qutlass_rounding_kind;

/* How elements become codes, once they are multiplied with the reciprocal of their scale. STOCHASTIC: an
 * element a fraction f of the way between two codes becomes the upper one with probability f, up to 2^-17;
 * codes stay what they are, and elements beyond the last code become that. The random numbers depend on the
 * seed, on the draw and on the row and column in the result, and on nothing else: Philox 4x32-10, key seed,
 * counter (column / 8, row, 0x726F756E, draw), 16 bits to each of 8 columns. */
typedef struct qutlass_rounding {
  int32_t kind; /* qutlass_rounding_kind */
  uint32_t draw;
  uint64_t seed;
  const int32_t* counter; /* one I32 on the device that is added to draw modulo 2^32, or absent: a graph that
                             counts it on draws anew at each replay */
} qutlass_rounding;

/* One operand: a dense matrix (F32, BF16, F16), or a quantized one. */
typedef struct qutlass_operand {
  int32_t is_quantized;
  qutlass_tensor dense;
  qutlass_quantized quantized;
} qutlass_operand;

/* ---- library
 * ------------------------------------------------------------------------------------------------ */

QUTLASS_API int32_t qutlass_abi_version(void);
QUTLASS_API const char* qutlass_version(void);
/* The message of the last call on this thread that did not return QUTLASS_OK. */
QUTLASS_API const char* qutlass_last_error(void);

/* ---- devices and memory
 * --------------------------------------------------------------------------------------*/

typedef struct qutlass_device_info {
  char name[128];          /* model of the processor or GPU */
  char isa[64];            /* what the kernels are made for: "avx512", "avx2", "generic", "sm_90" */
  char driver[64];         /* of a GPU: the newest CUDA version that its driver runs, "13.0"; else empty */
  int32_t threads;         /* of the CPU kernels; multiprocessors of a GPU */
  int64_t memory_bytes;    /* all memory of the device */
  int64_t cache_bytes;     /* the last level of cache, 0 if not known */
  double clock_hz;         /* the highest clock of the processor, 0 if not known */
  double memory_bandwidth; /* bytes per second by clock and bus width of a GPU's memory, 0 if not known */
} qutlass_device_info;

typedef struct qutlass_memory_stats {
  int64_t allocated;   /* bytes in use by the caller, or held by graphs and pending work */
  int64_t reserved;    /* bytes taken from the system, in use or cached */
  int64_t peak;        /* the largest allocated so far */
  int64_t allocations; /* blocks in use */
} qutlass_memory_stats;

/* The number of visible GPUs; QUTLASS_E_NO_DEVICE, with the reason, if there is none. */
QUTLASS_API qutlass_status qutlass_gpu_count(int32_t* count);
/* name is "cpu", "cuda" or "cuda:<index>". threads: of the CPU's kernels, 0 for QUTLASS_THREADS or one per
 * hardware thread. */
QUTLASS_API qutlass_status qutlass_device_open(const char* name, int32_t threads, qutlass_device** device);
/* Waits for all streams, then frees everything that belongs to the device. */
QUTLASS_API void qutlass_device_close(qutlass_device* device);
QUTLASS_API qutlass_status qutlass_device_get_info(const qutlass_device* device, qutlass_device_info* info);
QUTLASS_API qutlass_status qutlass_memory_get_stats(qutlass_device* device, qutlass_memory_stats* stats);
/* Returns cached, unused memory to the system. */
QUTLASS_API qutlass_status qutlass_memory_trim(qutlass_device* device);
/* 64-byte aligned, uninitialized. A size of 0 is an error. */
QUTLASS_API qutlass_status qutlass_alloc(qutlass_device* device, size_t bytes, void** data);
/* As qutlass_alloc, filled with a copy of host memory when it returns. */
QUTLASS_API qutlass_status qutlass_alloc_from(qutlass_device* device, const void* host, size_t bytes,
                                              void** data);
/* Adds a reference to the block that `data` starts; each reference takes a qutlass_free of its own. */
QUTLASS_API qutlass_status qutlass_retain(qutlass_device* device, void* data);
/* Drops a reference, once all work enqueued so far, on every stream, has run. NULL is allowed. */
QUTLASS_API qutlass_status qutlass_free(qutlass_device* device, void* data);

/* ---- streams, events, graphs
 * ---------------------------------------------------------------------------------*/

QUTLASS_API qutlass_status qutlass_stream_create(qutlass_device* device, qutlass_stream** stream);
/* Waits for the work of the stream. */
QUTLASS_API void qutlass_stream_destroy(qutlass_stream* stream);
/* Blocks the calling thread. Reports a failure of work enqueued earlier, once. */
QUTLASS_API qutlass_status qutlass_stream_synchronize(qutlass_stream* stream);
/* Calls fn(user, status) on a thread of the library once all work enqueued so far has run. status reports a
 * failure of that work, once; its text is qutlass_last_error() inside fn. */
typedef void (*qutlass_callback)(void* user, qutlass_status status);
QUTLASS_API qutlass_status qutlass_stream_call(qutlass_stream* stream, qutlass_callback fn, void* user);

/* timing: 1 to measure from or to this point; such an event costs a little more. */
QUTLASS_API qutlass_status qutlass_event_record(qutlass_stream* stream, int32_t timing,
                                                qutlass_event** event);
/* Seconds of the device between two points that streams of one device have passed, both recorded with timing.
 * QUTLASS_E_ARGUMENT if one has not been passed yet: synchronize first. */
QUTLASS_API qutlass_status qutlass_event_elapsed(qutlass_event* start, qutlass_event* end, double* seconds);
/* Work enqueued on the stream from now on waits for the event. */
QUTLASS_API qutlass_status qutlass_stream_wait(qutlass_stream* stream, qutlass_event* event);
QUTLASS_API void qutlass_event_destroy(qutlass_event* event);

/* Between begin and end the operations on the stream are recorded, not run. The graph keeps the memory that
 * its operations use alive until it is destroyed, also when it is freed by the caller. */
QUTLASS_API qutlass_status qutlass_graph_begin(qutlass_stream* stream);
QUTLASS_API qutlass_status qutlass_graph_end(qutlass_stream* stream, qutlass_graph** graph);
QUTLASS_API qutlass_status qutlass_graph_launch(qutlass_graph* graph, qutlass_stream* stream);
QUTLASS_API int64_t qutlass_graph_node_count(const qutlass_graph* graph);
QUTLASS_API void qutlass_graph_destroy(qutlass_graph* graph);

/* ---- data movement
 * -------------------------------------------------------------------------------------------*/

/* Host memory to a tensor and back, `bytes` being the size of the tensor. write has copied the host memory
 * when it returns; read fills it when the stream gets there, so the caller keeps it alive until then. */
QUTLASS_API qutlass_status qutlass_write(qutlass_stream* stream, const void* host, size_t bytes,
                                         const qutlass_tensor* out);
QUTLASS_API qutlass_status qutlass_read(qutlass_stream* stream, const qutlass_tensor* x, void* host,
                                        size_t bytes);

/* Every byte of out becomes `value`. */
QUTLASS_API qutlass_status qutlass_fill(qutlass_stream* stream, int32_t value, const qutlass_tensor* out);
/* Random numbers, the same on every device for a seed: F32, BF16 and F16 have mean 0, this standard deviation
 * and a bell shape (each the sum of eight uniform numbers, so at most 4.9 deviations); other dtypes have
 * uniform bytes and ignore it. */
QUTLASS_API qutlass_status qutlass_fill_random(qutlass_stream* stream, uint64_t seed, float deviation,
                                               const qutlass_tensor* out);
/* The exclusive or of the 4-byte words of x, zeros after its end, each rotated left by its index modulo 32:
 * out is one I32. Reads x once. */
QUTLASS_API qutlass_status qutlass_checksum(qutlass_stream* stream, const qutlass_tensor* x,
                                            const qutlass_tensor* out);
/* Converts element by element with round to nearest even; equal dtypes are copied bit for bit. Same element
 * count. Between F32, BF16, F16, and from I32, I8, U8, F8_E4M3, F8_E5M2, F8_E8M0 to those. */
QUTLASS_API qutlass_status qutlass_convert(qutlass_stream* stream, const qutlass_tensor* x,
                                           const qutlass_tensor* out);
/* out[r, c] = x[c, r] for matrices of 1, 2 or 4 byte elements. */
QUTLASS_API qutlass_status qutlass_transpose(qutlass_stream* stream, const qutlass_tensor* x,
                                             const qutlass_tensor* out);
/* Copies the rows x cols corner that x [r, c] and out [r2, c2] share and writes zeros elsewhere in out. */
QUTLASS_API qutlass_status qutlass_pad(qutlass_stream* stream, const qutlass_tensor* x,
                                       const qutlass_tensor* out);
/* Copies x into the rows [row, row + x.shape[0]) of out. */
QUTLASS_API qutlass_status qutlass_copy_rows(qutlass_stream* stream, const qutlass_tensor* x,
                                             const qutlass_tensor* out, int64_t row);
/* Copies rows [row, row + out.shape[0]) of x into out. */
QUTLASS_API qutlass_status qutlass_slice_rows(qutlass_stream* stream, const qutlass_tensor* x, int64_t row,
                                              const qutlass_tensor* out);

/* ---- numbers and quantizers
 * ----------------------------------------------------------------------------------*/

/* float32 values to codes, one byte each (a nibble in the low half), and back. Integers round and saturate
 * too. */
QUTLASS_API qutlass_status qutlass_encode(qutlass_stream* stream, const qutlass_tensor* x, int32_t element,
                                          const qutlass_tensor* out);
QUTLASS_API qutlass_status qutlass_decode(qutlass_stream* stream, const qutlass_tensor* codes,
                                          int32_t element, const qutlass_tensor* out);
/* uint8 or int8 codes [.., K] of 4 bits to bytes [.., K / 2], low nibble first, and back. sign_extend: to
 * -8..7. */
QUTLASS_API qutlass_status qutlass_pack4(qutlass_stream* stream, const qutlass_tensor* codes,
                                         const qutlass_tensor* out);
QUTLASS_API qutlass_status qutlass_unpack4(qutlass_stream* stream, const qutlass_tensor* packed,
                                           int32_t sign_extend, const qutlass_tensor* out);
/* Scale bytes [r, c] to the 128x4 blocked layout [ceil(r/128) * ceil(c/4) * 512], padding zeroed, and back.
 */
QUTLASS_API qutlass_status qutlass_scales_to_blocked(qutlass_stream* stream, const qutlass_tensor* scales,
                                                     const qutlass_tensor* out);
QUTLASS_API qutlass_status qutlass_scales_from_blocked(qutlass_stream* stream, const qutlass_tensor* blocked,
                                                       const qutlass_tensor* out);

/* The global scale of the format for x [rows, cols]: 3 for MX_ABS_MAX; 448 * 6 / amax for NV (256 * 6 / amax
 * for NV_FOUR_SIX), amax over the finite values of the rotated x, 1 if that is 0. out: one float. */
QUTLASS_API qutlass_status qutlass_global_scale(qutlass_stream* stream, const qutlass_tensor* x,
                                                const qutlass_rotation* rotation,
                                                const qutlass_format* format, const qutlass_tensor* out);
/* x [rows, cols] in F32, BF16 or F16 -> codes, scales, zero points, clip mask. rotation and rounding may be
 * NULL: none, and to nearest. Formats with a global scale read out->global_scale; with find_global_scale = 1
 * it is first written there, as by qutlass_global_scale. Scales are written in out->scale_layout, padding
 * zeroed. */
QUTLASS_API qutlass_status qutlass_quantize(qutlass_stream* stream, const qutlass_tensor* x,
                                            const qutlass_rotation* rotation,
                                            const qutlass_rounding* rounding, int32_t find_global_scale,
                                            const qutlass_quantized* out);
/* The same of the transpose of x [cols, rows], which is not written: groups and the rotation run down the
 * columns of x. A quantized x counts as its values in BF16, rotated as they are stored. */
QUTLASS_API qutlass_status qutlass_quantize_transposed(qutlass_stream* stream, const qutlass_operand* x,
                                                       const qutlass_rotation* rotation,
                                                       const qutlass_rounding* rounding,
                                                       int32_t find_global_scale,
                                                       const qutlass_quantized* out);
/* x [rows, cols] to MXFP8 with one scale for each square of 32 x 32, so that the same codes serve x and its
 * transpose. The scales are written twice: for groups of rows, in out, and for groups of columns, as those of
 * a matrix [cols, rows], in column_scales (F8_E8M0, in out->scale_layout). rows and cols are multiples of 32;
 * rounding may be NULL. */
QUTLASS_API qutlass_status qutlass_quantize_squares(qutlass_stream* stream, const qutlass_tensor* x,
                                                    const qutlass_rounding* rounding,
                                                    const qutlass_quantized* out,
                                                    const qutlass_tensor* column_scales);
/* qutlass_quantize, to nearest, of the matrix that qutlass_rms_norm makes of x and residual [rows, cols] in
 * the dtype of x: equal bytes, in one launch where a kernel of the device can. */
QUTLASS_API qutlass_status qutlass_rms_norm_quantize(qutlass_stream* stream, const qutlass_tensor* x,
                                                     const qutlass_tensor* residual,
                                                     const qutlass_tensor* weight, float eps,
                                                     const qutlass_rotation* rotation,
                                                     int32_t find_global_scale, const qutlass_quantized* out);
/* The same of the matrix that qutlass_silu_mul makes of gate and up [rows, cols] in the dtype of gate. */
QUTLASS_API qutlass_status qutlass_silu_mul_quantize(qutlass_stream* stream, const qutlass_tensor* gate,
                                                     const qutlass_tensor* up,
                                                     const qutlass_rotation* rotation,
                                                     int32_t find_global_scale, const qutlass_quantized* out);
/* Codes to values in F32, BF16 or F16. rotation, if given, is undone: out = values @ H^T / gain, where gain
 * is the mean of diag(H H^T). */
QUTLASS_API qutlass_status qutlass_dequantize(qutlass_stream* stream, const qutlass_quantized* q,
                                              const qutlass_rotation* rotation, const qutlass_tensor* out);
/* The bytes that q takes in tiles, the layout in which weights are streamed to products with few rows of A;
 * QUTLASS_E_UNSUPPORTED, with the reason, where the device or the format has none. Data pointers are not
 * read. */
QUTLASS_API qutlass_status qutlass_tile_bytes(const qutlass_device* device, const qutlass_quantized* q,
                                              int64_t* bytes);
/* Lays q out in tiles: out is U8 [tile_bytes]. */
QUTLASS_API qutlass_status qutlass_tile(qutlass_stream* stream, const qutlass_quantized* q,
                                        const qutlass_tensor* out);
/* x [.., K] -> out of the same shape, rotated. */
QUTLASS_API qutlass_status qutlass_rotate(qutlass_stream* stream, const qutlass_tensor* x,
                                          const qutlass_rotation* rotation, const qutlass_tensor* out);
/* q = rint(clamp(x / scale, -128, 127)), NaN to 0; scale has one value or one per row (IntLASS
 * quantize_int8). */
QUTLASS_API qutlass_status qutlass_quantize_int8_with_scale(qutlass_stream* stream, const qutlass_tensor* x,
                                                            const qutlass_tensor* scale,
                                                            const qutlass_tensor* out);

/* ---- matrix multiplication
 * -----------------------------------------------------------------------------------*/

/* What kernels may do to a dense A that they multiply with a quantized B. */
typedef enum qutlass_accuracy {
  QUTLASS_ACCURACY_EXACT = 0, /* nothing */
  QUTLASS_ACCURACY_INT8 = 1 /* round it to int8 in groups of 32 to 128 elements along K, each with a scale of
                               its own, or a scale for its row if B has one for each of its rows: an error of
                               at most amax / 254 per element, amax of the group or the row */
} qutlass_accuracy;

/* out[m,n] = round(alpha * sum_k A[m,k] * B[n,k] + bias[n]), A [M,K], B [N,K], one rounding at the end. */
typedef struct qutlass_matmul_problem {
  qutlass_operand a;
  qutlass_operand b;
  qutlass_rotation a_rotation; /* applied to a dense A on the way in; identity when A is quantized */
  /* 1: A is dense and quantized to a_format on the way in, once it is rotated, as qutlass_quantize does it,
   * with find_global_scale = 1 if the format has one; else 0, and a_format is not looked at. */
  int32_t quantizes_a;
  qutlass_format a_format;
  float alpha;
  const float* alpha_pointer; /* one float on the device multiplied with alpha, or absent */
  qutlass_tensor bias;        /* [N], F32, BF16 or F16; data may be absent */
  qutlass_tensor out;         /* [M,N], F32, BF16 or F16 */
  int32_t accuracy;           /* qutlass_accuracy; a kernel may be more accurate */
} qutlass_matmul_problem;

typedef struct qutlass_kernel_info {
  char name[64];         /* stable: "cpu.reference", "cpu.f32.avx2", ... */
  char device[16];       /* "cpu" or "cuda" */
  char requires_isa[32]; /* "", "avx2", ..., or the oldest CUDA architecture; and a library beside it */
  char accumulator[16];  /* "f64", "f32", "i32"; "f22": the 22 bits of fp8 tensor cores */
  int32_t tile_m, tile_n, tile_k;
  int32_t available; /* on this machine */
  /* For the analytic model, rough; the fractions are what large products reach. */
  double peak_fraction;      /* of the peak rate of the device in `precision` */
  char precision[8];         /* what the units multiply: "f32", "bf16", "fp8", "int8" */
  double decode_per_clock;   /* codes, by a multiprocessor or CPU thread; 0: included in peak_fraction */
  double bandwidth_fraction; /* of the bandwidth of the memory */
  int32_t max_m;             /* the largest M that the kernel takes, all at once; 0 for any */
  int32_t on_request;        /* 1: never chosen unasked, only by name */
} qutlass_kernel_info;

QUTLASS_API int32_t qutlass_kernel_count(void);
QUTLASS_API qutlass_status qutlass_kernel_get_info(int32_t index, qutlass_kernel_info* info);
/* QUTLASS_OK if the kernel can run the problem; else QUTLASS_E_UNSUPPORTED, the reason in
 * qutlass_last_error(). A malformed problem gets the status of its fault from every kernel. Data pointers are
 * not read. */
QUTLASS_API qutlass_status qutlass_matmul_supported(int32_t kernel, const qutlass_matmul_problem* problem);
QUTLASS_API qutlass_status qutlass_matmul(qutlass_stream* stream, int32_t kernel,
                                          const qutlass_matmul_problem* problem);
/* Several problems as by qutlass_matmul, none of which reads the result of another: a kernel may run them in
 * one launch, and add up a sum in another order than by itself, the same in every run. cuda.skinny takes
 * neighbours of one format with the same A of up to 16 rows. */
QUTLASS_API qutlass_status qutlass_matmul_group(qutlass_stream* stream, int32_t kernel,
                                                const qutlass_matmul_problem* problems, int32_t count);
/* The products of the experts of a layer, each with the rows of A that a router gave it: B [E*N,K] holds N
 * rows for each of E experts, rows offsets[e] to offsets[e+1] of A are those of expert e. offsets: I32 [E+1],
 * read when the work runs, so they may come from work enqueued before. An offset counts as no less than 0 and
 * those before it, and no more than M. bias is [E,N], out [M,N]; rows of no expert are 0. */
QUTLASS_API qutlass_status qutlass_matmul_experts(qutlass_stream* stream,
                                                  const qutlass_matmul_problem* problem,
                                                  const qutlass_tensor* offsets);

/* ---- model operations
 * ----------------------------------------------------------------------------------------*/
/* Dense tensors are F32, BF16 or F16; arithmetic is float32, rounded once on the way out. */

/* out[m, :] = table[ids[m], :]; ids I32 [M]. An id outside the table gives NaN. */
QUTLASS_API qutlass_status qutlass_embedding(qutlass_stream* stream, const qutlass_tensor* ids,
                                             const qutlass_tensor* table, const qutlass_tensor* out);
/* out = x * rsqrt(mean(x^2) + eps) * weight over the last dimension. residual (or NULL, data absent) is added
 * to x first, and the sum is written back into residual. */
QUTLASS_API qutlass_status qutlass_rms_norm(qutlass_stream* stream, const qutlass_tensor* x,
                                            const qutlass_tensor* residual, const qutlass_tensor* weight,
                                            float eps, const qutlass_tensor* out);
/* Rotary embedding in place, half-split convention: x [M, heads, head_dim], positions I32 [M],
 * inv_freq F32 [head_dim / 2]. */
QUTLASS_API qutlass_status qutlass_rope(qutlass_stream* stream, const qutlass_tensor* x,
                                        const qutlass_tensor* positions, const qutlass_tensor* inv_freq);
/* cache[positions[m], :, :] = x[m, :, :]; x [M, kv_heads, head_dim], cache [capacity, kv_heads, head_dim].
 * A position outside the cache is dropped. */
QUTLASS_API qutlass_status qutlass_kv_append(qutlass_stream* stream, const qutlass_tensor* x,
                                             const qutlass_tensor* positions, const qutlass_tensor* cache);
/* What comes between projections and attention, in one launch: qutlass_rope of q [M, heads, head_dim] and
 * of k [M, kv_heads, head_dim], then qutlass_kv_append of k and v. */
QUTLASS_API qutlass_status qutlass_rope_append(qutlass_stream* stream, const qutlass_tensor* q,
                                               const qutlass_tensor* k, const qutlass_tensor* v,
                                               const qutlass_tensor* positions,
                                               const qutlass_tensor* inv_freq, const qutlass_tensor* k_cache,
                                               const qutlass_tensor* v_cache);
/* Causal grouped-query attention: query row m sees cache rows 0..positions[m]. q and out [M, heads,
 * head_dim], k_cache and v_cache [capacity, kv_heads, head_dim], heads a multiple of kv_heads. */
QUTLASS_API qutlass_status qutlass_attention(qutlass_stream* stream, const qutlass_tensor* q,
                                             const qutlass_tensor* k_cache, const qutlass_tensor* v_cache,
                                             const qutlass_tensor* positions, float scale,
                                             const qutlass_tensor* out);
/* qutlass_rope_append, then qutlass_attention of q; in one launch for one token on some GPUs. */
QUTLASS_API qutlass_status qutlass_rope_attention(
    qutlass_stream* stream, const qutlass_tensor* q, const qutlass_tensor* k, const qutlass_tensor* v,
    const qutlass_tensor* positions, const qutlass_tensor* inv_freq, const qutlass_tensor* k_cache,
    const qutlass_tensor* v_cache, float scale, const qutlass_tensor* out);
/* out = silu(gate) * up. */
QUTLASS_API qutlass_status qutlass_silu_mul(qutlass_stream* stream, const qutlass_tensor* gate,
                                            const qutlass_tensor* up, const qutlass_tensor* out);
/* out = a + scale * b. */
QUTLASS_API qutlass_status qutlass_add(qutlass_stream* stream, const qutlass_tensor* a,
                                       const qutlass_tensor* b, float scale, const qutlass_tensor* out);

typedef struct qutlass_sampling {
  float temperature; /* 0: the first largest logit */
  int32_t top_k;     /* 0: all */
  float top_p;       /* 1: all */
  uint64_t seed;
} qutlass_sampling;

/* logits [M, V] -> out I32 [M]. Row m draws with the counter counters[m] (I32 [M]), so a seed repeats a text.
 */
QUTLASS_API qutlass_status qutlass_sample(qutlass_stream* stream, const qutlass_tensor* logits,
                                          const qutlass_tensor* counters, const qutlass_sampling* sampling,
                                          const qutlass_tensor* out);
/* losses F32 [M] = logsumexp(logits[m]) - logits[m, targets[m]]; targets I32 [M]. */
QUTLASS_API qutlass_status qutlass_cross_entropy(qutlass_stream* stream, const qutlass_tensor* logits,
                                                 const qutlass_tensor* targets, const qutlass_tensor* out);

#ifdef __cplusplus
}
#endif

#endif /* QUTLASS_H */
