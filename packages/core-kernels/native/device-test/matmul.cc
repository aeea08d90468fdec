// Matrix multiplication on "cuda:0" against float64 sums made here, the golden vectors and the CPU's
// reference kernel.
//   matmul GOLDEN_DIR [device, default cuda:0] [random cases per pair, default 6]
#include <dirent.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "qutlass.h"

namespace {

int passed = 0, failed = 0;
std::mt19937_64 rng(7);

void report(const std::string& name, const std::string& failure) {
  failure.empty() ? ++passed : ++failed;
  if (failure.empty())
    std::printf("PASS %s\n", name.c_str());
  else
    std::printf("FAIL %s: %s\n", name.c_str(), failure.c_str());
  std::fflush(stdout);
}

void must(qutlass_status status, const char* what) {
  if (status == QUTLASS_OK) return;
  std::printf("ERROR %s: status %d: %s\n", what, status, qutlass_last_error());
  std::exit(2);
}

int64_t pick(std::initializer_list<int64_t> values) { return *(values.begin() + rng() % values.size()); }
double uniform() { return std::uniform_real_distribution<double>(-1, 1)(rng); }
double normal() { return std::normal_distribution<double>()(rng); }

using Bytes = std::vector<uint8_t>;

// ---- numbers, written from the formats' definitions
// ----------------------------------------------------------------
double minifloat(uint32_t code, int e, int m, int bias) {
  const int exponent = code >> m & ((1 << e) - 1), mantissa = code & ((1 << m) - 1);
  const double value = exponent ? std::ldexp(1 + std::ldexp(mantissa, -m), exponent - bias)
                                : std::ldexp(mantissa, 1 - bias - m);
  return code >> (e + m) & 1 ? -value : value;
}
double decode_byte(int element, uint8_t code) {
  static const float nf4[16] = {-1.0f,
                                -0.6961928009986877f,
                                -0.5250730514526367f,
                                -0.39491748809814453f,
                                -0.28444138169288635f,
                                -0.18477343022823334f,
                                -0.09105003625154495f,
                                0.0f,
                                0.07958029955625534f,
                                0.16093020141124725f,
                                0.24611230194568634f,
                                0.33791524171829224f,
                                0.44070982933044434f,
                                0.5626170039176941f,
                                0.7229568362236023f,
                                1.0f};
  switch (element) {
    case QUTLASS_E2M1: return minifloat(code, 2, 1, 1);
    case QUTLASS_E4M3: return (code & 127) == 127 ? NAN : minifloat(code, 4, 3, 7);
    case QUTLASS_E5M2:
      return (code & 127) > 124    ? NAN
             : (code & 127) == 124 ? (code >> 7 ? -INFINITY : INFINITY)
                                   : minifloat(code, 5, 2, 15);
    case QUTLASS_INT8: return static_cast<int8_t>(code);
    case QUTLASS_INT4: return code < 8 ? code : code - 16;
    case QUTLASS_UINT4: return code;
    default: return nf4[code];
  }
}
float bf16_value(uint16_t bits) {
  uint32_t w = uint32_t{bits} << 16;
  float f;
  std::memcpy(&f, &w, 4);
  return f;
}
uint16_t bf16_bits(float f) {
  uint32_t w;
  std::memcpy(&w, &f, 4);
  return static_cast<uint16_t>((w + 0x7FFF + (w >> 16 & 1)) >> 16);
}
float f16_value(uint16_t bits) {
  _Float16 h;
  std::memcpy(&h, &bits, 2);
  return static_cast<float>(h);
}
uint16_t f16_bits(float f) {
  const auto h = static_cast<_Float16>(f);
  uint16_t b;
  std::memcpy(&b, &h, 2);
  return b;
}
int size_of(int dtype) {
  return dtype == QUTLASS_F32 ? 4 : dtype == QUTLASS_BF16 || dtype == QUTLASS_F16 ? 2 : 1;
}

double get(const uint8_t* data, int dtype, int64_t i) {
  float f;
  uint16_t h;
  switch (dtype) {
    case QUTLASS_F32: std::memcpy(&f, data + 4 * i, 4); return f;
    case QUTLASS_BF16: std::memcpy(&h, data + 2 * i, 2); return bf16_value(h);
    case QUTLASS_F16: std::memcpy(&h, data + 2 * i, 2); return f16_value(h);
    case QUTLASS_F8_E8M0: return data[i] == 255 ? NAN : std::ldexp(1.0, data[i] - 127);
    default: return decode_byte(QUTLASS_E4M3, data[i]);
  }
}
void put(uint8_t* data, int dtype, int64_t i, double value) {
  const auto f = static_cast<float>(value);
  const uint16_t h = dtype == QUTLASS_BF16 ? bf16_bits(f) : f16_bits(f);
  if (dtype == QUTLASS_F32)
    std::memcpy(data + 4 * i, &f, 4);
  else
    std::memcpy(data + 2 * i, &h, 2);
}

// ---- operands on the host
// ------------------------------------------------------------------------------------------
struct Format {
  std::string name;
  qutlass_format f;
};

struct Host {
  bool quantized = false;
  int dtype = QUTLASS_F32;
  qutlass_format format{};
  int layout = 0;
  int64_t rows = 0, cols = 0;
  Bytes data, scales, zeros;
  bool has_global = false;
  float global = 1;
  std::vector<double> values;  // dequantized
  std::string name;
};

int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t blocked(int64_t r, int64_t c, int64_t cols) {
  return ((r / 128) * div_up(cols, 4) + c / 4) * 512 + (r % 32) * 16 + (r % 128) / 32 * 4 + c % 4;
}
bool four_bits(int element) {
  return element == QUTLASS_E2M1 || element == QUTLASS_INT4 || element == QUTLASS_UINT4 ||
         element == QUTLASS_NF4;
}

void dequantize(Host& x) {
  const auto& f = x.format;
  const int64_t gr = f.group_rows ? f.group_rows : x.rows, gc = f.group_cols ? f.group_cols : x.cols,
                groups = div_up(x.cols, gc);
  x.values.resize(x.rows * x.cols);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t k = 0; k < x.cols; ++k) {
      const int64_t i = r * x.cols + k, sr = r / gr, sg = k / gc;
      const uint8_t code = four_bits(f.element) ? x.data[i / 2] >> (i % 2 * 4) & 15 : x.data[i];
      const int64_t at = x.layout ? blocked(sr, sg, groups) : sr * groups + sg;
      double zero = 0;
      if (f.zero_point)
        zero = f.element == QUTLASS_INT8 ? double(int8_t(x.zeros[sr * groups + sg]))
                                         : double(x.zeros[sr * groups + sg]);
      x.values[i] =
          (decode_byte(f.element, code) - zero) * get(x.scales.data(), f.scale_dtype, at) / x.global;
    }
  }
}

Host dense(int dtype, int64_t rows, int64_t cols) {
  Host x;
  x.dtype = dtype;
  x.rows = rows;
  x.cols = cols;
  x.name = dtype == QUTLASS_F32 ? "f32" : dtype == QUTLASS_BF16 ? "bf16" : "f16";
  x.data.resize(rows * cols * size_of(dtype));
  for (int64_t i = 0; i < rows * cols; ++i) put(x.data.data(), dtype, i, normal());
  x.values.resize(rows * cols);
  for (int64_t i = 0; i < rows * cols; ++i) x.values[i] = get(x.data.data(), dtype, i);
  return x;
}

Host quantized(const Format& format, int64_t rows, int64_t cols, int layout) {
  Host x;
  x.quantized = true;
  x.format = format.f;
  x.layout = layout;
  x.rows = rows;
  x.cols = cols;
  x.name = format.name;
  const auto& f = x.format;
  const int64_t gr = f.group_rows ? f.group_rows : rows, gc = f.group_cols ? f.group_cols : cols;
  const int64_t R = div_up(rows, gr), G = div_up(cols, gc);
  x.data.resize(four_bits(f.element) ? rows * cols / 2 : rows * cols);
  for (auto& byte : x.data) {
    do byte = static_cast<uint8_t>(rng());
    while (!four_bits(f.element) && !std::isfinite(decode_byte(f.element, byte)));
  }
  const int64_t count = layout ? div_up(R, 128) * div_up(G, 4) * 512 : R * G;
  x.scales.assign(count * size_of(f.scale_dtype), 0);
  for (int64_t i = 0; i < count; ++i) {
    if (f.scale_dtype == QUTLASS_F8_E8M0)
      x.scales[i] = static_cast<uint8_t>(110 + rng() % 30);
    else if (f.scale_dtype == QUTLASS_F8_E4M3)
      x.scales[i] = static_cast<uint8_t>(1 + rng() % 126);
    else
      put(x.scales.data(), f.scale_dtype, i, std::exp(2 * uniform()));
  }
  if (f.zero_point) {
    x.zeros.resize(R * G);
    // UINT4: mostly as quantizers make them, but any byte is allowed.
    for (auto& z : x.zeros)
      z = static_cast<uint8_t>(f.element == QUTLASS_INT8 || rng() % 8 == 0 ? rng() : rng() % 16);
  }
  x.has_global =
      f.rule == QUTLASS_RULE_MX_ABS_MAX || f.rule == QUTLASS_RULE_NV || f.rule == QUTLASS_RULE_NV_FOUR_SIX;
  if (x.has_global)
    x.global = f.rule == QUTLASS_RULE_MX_ABS_MAX ? 3.0f : static_cast<float>(std::exp(3 * uniform()));
  dequantize(x);
  return x;
}

Format fmt(const char* name, int element, int scale, int rule, int gr, int gc, int zp) {
  return {name, {element, scale, rule, gr, gc, zp}};
}
using Q = std::vector<Format>;
const Q kMxfp4 = {fmt("mxfp4", QUTLASS_E2M1, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_FLOOR, 1, 32, 0),
                  fmt("mxfp4_abs_max", QUTLASS_E2M1, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_ABS_MAX, 1, 32, 0)};
const Q kMxfp8 = {fmt("mxfp8_e4m3", QUTLASS_E4M3, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_FLOOR, 1, 32, 0),
                  fmt("mxfp8_e5m2", QUTLASS_E5M2, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_RCEIL, 1, 32, 0)};
const Q kNvfp4 = {fmt("nvfp4", QUTLASS_E2M1, QUTLASS_F8_E4M3, QUTLASS_RULE_NV, 1, 16, 0)};
const Q kFp8 = {fmt("fp8_tensor", QUTLASS_E4M3, QUTLASS_F32, QUTLASS_RULE_AMAX, 0, 0, 0),
                fmt("fp8_row", QUTLASS_E4M3, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 0, 0),
                fmt("fp8_e5m2_row", QUTLASS_E5M2, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 0, 0),
                fmt("fp8_1x128", QUTLASS_E4M3, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 128, 0),
                fmt("fp8_128x128", QUTLASS_E4M3, QUTLASS_F32, QUTLASS_RULE_AMAX, 128, 128, 0)};
const Q kInt8 = {fmt("int8_tensor", QUTLASS_INT8, QUTLASS_F32, QUTLASS_RULE_AMAX, 0, 0, 0),
                 fmt("int8_row", QUTLASS_INT8, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 0, 0),
                 fmt("int8_row_zp", QUTLASS_INT8, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 0, 1)};
const Q kInt4 = {fmt("int4_g32", QUTLASS_INT4, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 32, 0),
                 fmt("int4_g64_bf16", QUTLASS_INT4, QUTLASS_BF16, QUTLASS_RULE_AMAX, 1, 64, 0),
                 fmt("int4_row", QUTLASS_INT4, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 0, 0),
                 fmt("uint4_g128_f16", QUTLASS_UINT4, QUTLASS_F16, QUTLASS_RULE_AMAX, 1, 128, 1),
                 fmt("uint4_g32", QUTLASS_UINT4, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 32, 1),
                 fmt("uint4_row", QUTLASS_UINT4, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 0, 1)};
const Q kNf4 = {fmt("nf4_g64", QUTLASS_NF4, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 64, 0),
                fmt("nf4_g32", QUTLASS_NF4, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 32, 0)};

// ---- device
// --------------------------------------------------------------------------------------------------------
struct Device {
  qutlass_device* device = nullptr;
  qutlass_stream* stream = nullptr;
  std::vector<void*> blocks;

  bool open(const char* name) {
    if (qutlass_device_open(name, 0, &device) != QUTLASS_OK) return false;
    must(qutlass_stream_create(device, &stream), "stream_create");
    return true;
  }
  // `offset` moves the data off the alignment of the block.
  void* upload(const void* data, size_t bytes, size_t offset = 0) {
    void* block = nullptr;
    must(qutlass_alloc(device, bytes + offset, &block), "alloc");
    blocks.push_back(block);
    auto* at = static_cast<uint8_t*>(block) + offset;
    write(at, data, bytes);
    return at;
  }
  void write(void* at, const void* data, size_t bytes) {
    const qutlass_tensor t{at, QUTLASS_U8, 1, {static_cast<int64_t>(bytes)}};
    must(qutlass_write(stream, data, bytes, &t), "write");
  }
  Bytes read(const void* at, size_t bytes) {
    Bytes host(bytes);
    const qutlass_tensor t{const_cast<void*>(at), QUTLASS_U8, 1, {static_cast<int64_t>(bytes)}};
    must(qutlass_read(stream, &t, host.data(), bytes), "read");
    // The read fills host memory on a thread of the library: a synchronized callback comes after it.
    struct Done {
      volatile bool done = false;
    } done;
    must(qutlass_stream_call(
             stream, [](void* user, qutlass_status) { static_cast<Done*>(user)->done = true; }, &done),
         "call");
    must(qutlass_stream_synchronize(stream), "synchronize");
    while (!done.done) {
    }
    return host;
  }
  void free_all() {
    for (void* block : blocks) must(qutlass_free(device, block), "free");
    blocks.clear();
  }
  qutlass_operand operand(const Host& x, size_t offset) {
    qutlass_operand o{};
    o.is_quantized = x.quantized;
    void* data = upload(x.data.data(), x.data.size(), offset * (x.quantized ? 1 : size_of(x.dtype)));
    if (!x.quantized) {
      o.dense = {data, x.dtype, 2, {x.rows, x.cols}};
      return o;
    }
    auto& q = o.quantized;
    q.format = x.format;
    q.rows = x.rows;
    q.cols = x.cols;
    q.codes = data;
    q.scale_layout = x.layout;
    q.scales = upload(x.scales.data(), x.scales.size());
    if (!x.zeros.empty()) q.zero_points = upload(x.zeros.data(), x.zeros.size());
    if (x.has_global) q.global_scale = static_cast<float*>(upload(&x.global, 4));
    return o;
  }
};

constexpr int kGuard = 256;

struct Case {
  std::string name;
  Host a, b;
  std::vector<double> a_values;  // after the rotation
  qutlass_rotation rotation{};   // data: on the host
  size_t rotation_bytes = 0;
  float alpha = 1;
  bool has_alpha_pointer = false;
  float alpha_pointer = 1;
  int bias_dtype = -1, out_dtype = QUTLASS_F32;
  Bytes bias;
  size_t offset_a = 0, offset_b = 0;
};

struct Run {
  qutlass_matmul_problem problem{};
  uint8_t* guarded = nullptr;
  size_t out_bytes = 0;
};

Run place(Device& d, const Case& c) {
  Run run;
  auto& p = run.problem;
  p.a = d.operand(c.a, c.offset_a);
  p.b = d.operand(c.b, c.offset_b);
  p.a_rotation = c.rotation;
  if (c.rotation.data) p.a_rotation.data = d.upload(c.rotation.data, c.rotation_bytes);
  p.alpha = c.alpha;
  if (c.has_alpha_pointer) p.alpha_pointer = static_cast<float*>(d.upload(&c.alpha_pointer, 4));
  if (c.bias_dtype >= 0) p.bias = {d.upload(c.bias.data(), c.bias.size()), c.bias_dtype, 1, {c.b.rows}};
  run.out_bytes = static_cast<size_t>(c.a.rows * c.b.rows) * size_of(c.out_dtype);
  const Bytes poison(run.out_bytes + 2 * kGuard, 0xA5);
  run.guarded = static_cast<uint8_t*>(d.upload(poison.data(), poison.size()));
  p.out = {run.guarded + kGuard, c.out_dtype, 2, {c.a.rows, c.b.rows}};
  return run;
}

// The output, or why there is none.
std::string execute(Device& d, const Run& run, int kernel, Bytes& out, bool graph = false) {
  const Bytes poison(run.out_bytes + 2 * kGuard, 0xA5);
  d.write(run.guarded, poison.data(), poison.size());
  qutlass_graph* captured = nullptr;
  if (graph) must(qutlass_graph_begin(d.stream), "graph_begin");
  const qutlass_status status = qutlass_matmul(d.stream, kernel, &run.problem);
  if (graph) {
    must(qutlass_graph_end(d.stream, &captured), "graph_end");
    for (int i = 0; i < 2 && status == QUTLASS_OK; ++i)
      must(qutlass_graph_launch(captured, d.stream), "graph_launch");
  }
  if (status != QUTLASS_OK)
    return std::string("status ") + std::to_string(status) + ": " + qutlass_last_error();
  const Bytes all = d.read(run.guarded, poison.size());
  if (captured) qutlass_graph_destroy(captured);
  for (int i = 0; i < kGuard; ++i) {
    if (all[i] != 0xA5) return "wrote " + std::to_string(kGuard - i) + " bytes before the output";
    if (all[kGuard + run.out_bytes + i] != 0xA5)
      return "wrote " + std::to_string(i) + " bytes behind the output";
  }
  out.assign(all.begin() + kGuard, all.begin() + kGuard + static_cast<std::ptrdiff_t>(run.out_bytes));
  return "";
}

struct Truth {
  std::vector<double> d, magnitude;
};

Truth truth(const Case& c) {
  Truth t;
  const int64_t m = c.a.rows, n = c.b.rows, k = c.a.cols;
  t.d.resize(m * n);
  t.magnitude.resize(m * n);
  const auto& a = c.a_values.empty() ? c.a.values : c.a_values;
  const double factor = double(c.alpha) * (c.has_alpha_pointer ? double(c.alpha_pointer) : 1);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (int64_t l = 0; l < k; ++l) {
        const double p = a[i * k + l] * c.b.values[j * k + l];
        sum += p;
        size += std::fabs(p);
      }
      t.d[i * n + j] = factor * sum + (c.bias_dtype >= 0 ? get(c.bias.data(), c.bias_dtype, j) : 0);
      t.magnitude[i * n + j] = std::fabs(factor) * size;
    }
  }
  return t;
}

double worst_ratio[2] = {};  // used up of the bound: f32, f22

std::string within(const Case& c, const Truth& t, const Bytes& out, const std::string& accumulator) {
  // Second term: 2^-16 for float accumulators, 2^-11 for those of fp8 tensor cores; the truth itself is
  // rounded, and bias cancels against sums.
  const int kind = accumulator == "f32" ? 0 : accumulator == "f22" ? 1 : 2;
  const double scale = kind == 0 ? 0x1p-16 : kind == 1 ? 0x1p-11 : 0x1p-44;
  // A subnormal step of the output, and its largest number.
  const double step = c.out_dtype == QUTLASS_F16 ? 0x1p-25 : 0x1p-134;
  const double top = c.out_dtype == QUTLASS_F16 ? 65504 : 3e38;
  for (size_t i = 0; i < t.d.size(); ++i) {
    const double got = get(out.data(), c.out_dtype, static_cast<int64_t>(i)), want = t.d[i];
    char text[200];
    std::snprintf(text, sizeof text, "row %lld column %lld: expected %.9g, got %.9g (sum of magnitudes %.4g)",
                  static_cast<long long>(i / c.b.rows), static_cast<long long>(i % c.b.rows), want, got,
                  t.magnitude[i]);
    if (std::isnan(want)) {
      if (!std::isnan(got)) return text;
      continue;
    }
    if (std::isinf(want)) {
      if (std::isfinite(got)) return text;
      continue;
    }
    if (std::fabs(want) > top * 0.99) continue;
    const double bound = 0x1p-8 * std::fabs(want) + scale * t.magnitude[i] + step;
    // The float32 output shows how much of the second term is used.
    if (c.out_dtype == QUTLASS_F32 && t.magnitude[i] > 0 && kind < 2) {
      worst_ratio[kind] =
          std::max(worst_ratio[kind], (std::fabs(got - want) - 0x1p-23 * std::fabs(want)) / t.magnitude[i]);
    }
    if (!(std::fabs(got - want) <= bound)) return text;
  }
  return "";
}

std::string first_difference(const Bytes& a, const Bytes& b, int dtype) {
  for (size_t i = 0; i < a.size() / size_of(dtype); ++i) {
    const double x = get(a.data(), dtype, static_cast<int64_t>(i)),
                 y = get(b.data(), dtype, static_cast<int64_t>(i));
    if (std::isnan(x) && std::isnan(y)) continue;
    if (std::memcmp(a.data() + i * size_of(dtype), b.data() + i * size_of(dtype), size_of(dtype)) != 0) {
      char text[160];
      std::snprintf(text, sizeof text, "element %zu: %.9g on the CPU, %.9g here", i, x, y);
      return text;
    }
  }
  return "";
}

std::vector<qutlass_kernel_info> kernels;
Device cpu, gpu;
bool has_gpu = false;

int kernel_index(const char* name) {
  for (size_t i = 0; i < kernels.size(); ++i)
    if (!std::strcmp(kernels[i].name, name)) return static_cast<int>(i);
  return -1;
}

void prepare_rotation(Case& c) {
  if (c.rotation.kind == QUTLASS_ROTATION_IDENTITY) return;
  // The CPU's rotation is the definition; the truth starts from its float32 values.
  Bytes out(static_cast<size_t>(c.a.rows * c.a.cols) * 4);
  qutlass_rotation r = c.rotation;
  if (r.data) r.data = cpu.upload(r.data, c.rotation_bytes);
  const qutlass_tensor x{cpu.upload(c.a.data.data(), c.a.data.size()), c.a.dtype, 2, {c.a.rows, c.a.cols}};
  const qutlass_tensor y{cpu.upload(out.data(), out.size()), QUTLASS_F32, 2, {c.a.rows, c.a.cols}};
  must(qutlass_rotate(cpu.stream, &x, &r, &y), "rotate");
  out = cpu.read(y.data, out.size());
  cpu.free_all();
  c.a_values.resize(c.a.values.size());
  for (size_t i = 0; i < c.a_values.size(); ++i)
    c.a_values[i] = get(out.data(), QUTLASS_F32, static_cast<int64_t>(i));
}

// Every kernel of the device that supports the case, against the truth; the reference kernel also against the
// CPU's.
void check(Case c, bool graph = false, bool with_reference = true) {
  prepare_rotation(c);
  const Truth t = truth(c);
  const int cpu_reference = kernel_index("cpu.reference");
  Bytes definition;
  if (with_reference) {
    const Run run = place(cpu, c);
    const std::string error = execute(cpu, run, cpu_reference, definition);
    const std::string failure = error.empty() ? within(c, t, definition, "f64") : error;
    if (!failure.empty()) report(c.name + " cpu.reference", failure);
    cpu.free_all();
  }
  if (!has_gpu) return;
  const Run run = place(gpu, c);
  int ran = 0;
  for (size_t i = 0; i < kernels.size(); ++i) {
    const auto& kernel = kernels[i];
    if (std::strcmp(kernel.device, "cuda") != 0) continue;
    if (!with_reference && !std::strcmp(kernel.name, "cuda.reference")) continue;
    const qutlass_status status = qutlass_matmul_supported(static_cast<int>(i), &run.problem);
    if (status == QUTLASS_E_UNSUPPORTED) continue;
    const std::string name = c.name + " " + kernel.name;
    if (status != QUTLASS_OK) {
      report(name, qutlass_last_error());
      continue;
    }
    ++ran;
    Bytes out, again;
    std::string failure = execute(gpu, run, static_cast<int>(i), out);
    if (failure.empty()) failure = within(c, t, out, kernel.accumulator);
    if (failure.empty() && with_reference && !std::strcmp(kernel.name, "cuda.reference") &&
        c.rotation.kind == 0) {
      failure = first_difference(definition, out, c.out_dtype);
    }
    if (failure.empty()) {
      failure = execute(gpu, run, static_cast<int>(i), again, graph);
      if (failure.empty() && out != again)
        failure = graph ? "a replayed graph gives other bits" : "a second run gives other bits";
    }
    report(name, failure);
  }
  if (ran < (with_reference ? 2 : 1)) report(c.name, "only " + std::to_string(ran) + " kernels support it");
  gpu.free_all();
}

// ---- golden vectors
// ------------------------------------------------------------------------------------------------
struct Entry {
  std::string dtype;
  std::vector<int64_t> shape;
  Bytes data;
};

std::map<std::string, Entry> read_safetensors(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  uint64_t length = 0;
  file.read(reinterpret_cast<char*>(&length), 8);
  std::string json(length, ' ');
  file.read(json.data(), static_cast<std::streamsize>(length));
  const Bytes data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::map<std::string, Entry> entries;
  // {"name":{"dtype":"F32","shape":[3,72],"data_offsets":[0,864]}, ...}
  for (size_t at = json.find('"'); at != std::string::npos;) {
    const size_t end = json.find('"', at + 1), close = json.find('}', end);
    const std::string name = json.substr(at + 1, end - at - 1), body = json.substr(end, close - end);
    if (name != "__metadata__") {
      Entry entry;
      const auto list = [&](const char* key) {
        std::vector<int64_t> values;
        const size_t open = body.find('[', body.find(key));
        const char* cursor = body.c_str() + open + 1;
        while (*cursor != ']') {
          char* next = nullptr;
          values.push_back(std::strtoll(cursor, &next, 10));
          for (cursor = next; *cursor == ',' || *cursor == ' ';) ++cursor;
        }
        return values;
      };
      const size_t dtype = body.find("\"dtype\"");
      const size_t open = body.find('"', body.find(':', dtype));
      entry.dtype = body.substr(open + 1, body.find('"', open + 1) - open - 1);
      entry.shape = list("\"shape\"");
      const auto offsets = list("\"data_offsets\"");
      entry.data.assign(data.begin() + offsets[0], data.begin() + offsets[1]);
      entries[name] = std::move(entry);
    }
    at = json.find('"', close);
  }
  return entries;
}

Host golden_operand(const std::map<std::string, Entry>& entries, const std::string& key, const Format& format,
                    int64_t rows, int64_t cols) {
  Host x;
  x.quantized = true;
  x.format = format.f;
  x.rows = rows;
  x.cols = cols;
  x.name = format.name;
  x.data = entries.at(key + ".codes").data;
  x.scales = entries.at(key + ".scales").data;
  if (format.f.zero_point) {
    const Entry& z = entries.at(key + ".zero_points");
    if (z.dtype == "I32")
      for (size_t i = 0; i < z.data.size(); i += 4) x.zeros.push_back(z.data[i]);
    else
      x.zeros = z.data;
  }
  if (format.f.rule == QUTLASS_RULE_MX_ABS_MAX) x.has_global = true, x.global = 3;
  if (format.f.rule == QUTLASS_RULE_NV) {
    x.has_global = true;
    std::memcpy(&x.global, entries.at(key + ".global_scale").data.data(), 4);
  }
  dequantize(x);
  return x;
}

void golden(const std::string& directory) {
  const Q formats = {kMxfp4[0],
                     fmt("mxfp4_rceil", QUTLASS_E2M1, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_RCEIL, 1, 32, 0),
                     kMxfp4[1],
                     fmt("mxfp4_quest", QUTLASS_E2M1, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_QUEST, 1, 32, 0),
                     fmt("mxfp8_e4m3_floor", QUTLASS_E4M3, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_FLOOR, 1, 32, 0),
                     fmt("mxfp8_e4m3_rceil", QUTLASS_E4M3, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_RCEIL, 1, 32, 0),
                     fmt("mxfp8_e5m2_floor", QUTLASS_E5M2, QUTLASS_F8_E8M0, QUTLASS_RULE_MX_FLOOR, 1, 32, 0),
                     kNvfp4[0],
                     kFp8[1],
                     kInt8[1],
                     fmt("int8_row_asym", QUTLASS_INT8, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 0, 1),
                     kInt4[0],
                     fmt("int4_g128", QUTLASS_INT4, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 128, 0),
                     fmt("int4_g128_asym", QUTLASS_UINT4, QUTLASS_F32, QUTLASS_RULE_AMAX, 1, 128, 1)};
  std::vector<std::string> files;
  if (DIR* dir = opendir(directory.c_str())) {
    while (const dirent* e = readdir(dir))
      if (!std::strncmp(e->d_name, "gemm_", 5)) files.push_back(e->d_name);
    closedir(dir);
  }
  std::sort(files.begin(), files.end());
  if (files.size() < 4) report("golden", "expected 4 files gemm_*.safetensors in " + directory);
  for (const auto& file : files) {
    const auto entries = read_safetensors(directory + "/" + file);
    const auto &a = entries.at("a"), &w = entries.at("w");
    const int64_t m = a.shape[0], k = a.shape[1], n = w.shape[0];
    for (const Format& format : formats) {
      const std::string key = format.name == "mxfp4" ? "mxfp4_floor" : format.name;
      for (const bool both : {false, true}) {
        for (const int out_dtype : {QUTLASS_F32, QUTLASS_BF16}) {
          Case c;
          c.name = file + " " + key + (both ? " both" : " weight_only") +
                   (out_dtype == QUTLASS_F32 ? " f32" : " bf16");
          c.b = golden_operand(entries, key + ".w", format, n, k);
          if (both) {
            c.a = golden_operand(entries, key + ".a", format, m, k);
          } else {
            c.a.rows = m;
            c.a.cols = k;
            c.a.data = a.data;
            c.a.values.resize(m * k);
            for (int64_t i = 0; i < m * k; ++i) c.a.values[i] = get(a.data.data(), QUTLASS_F32, i);
          }
          c.bias_dtype = QUTLASS_F32;
          c.bias = entries.at("bias").data;
          c.out_dtype = out_dtype;
          // The oracle's D* agrees with the one made here.
          const Entry& want = entries.at(key + (both ? ".both" : ".weight_only"));
          const Truth t = truth(c);
          std::string failure;
          for (int64_t i = 0; i < m * n && failure.empty(); ++i) {
            const double oracle = get(want.data.data(), QUTLASS_F32, i);
            if (std::fabs(oracle - t.d[i]) > 1e-6 * (std::fabs(oracle) + t.magnitude[i])) {
              failure = "oracle " + std::to_string(oracle) + ", this test " + std::to_string(t.d[i]);
            }
          }
          if (!failure.empty()) report(c.name, failure);
          check(c);
        }
      }
    }
  }
}

// ---- random problems
// -----------------------------------------------------------------------------------------------
int64_t smallest_group(const qutlass_format& f) {
  return f.group_cols ? f.group_cols : four_bits(f.element) ? 2 : 1;
}

std::vector<uint8_t> rotation_data;

void decorate(Case& c) {
  c.alpha = static_cast<float>(pick({0, 1}) ? 1.0 : 1.5 * normal());
  c.has_alpha_pointer = rng() % 2;
  c.alpha_pointer = static_cast<float>(std::exp(uniform()));
  c.out_dtype = static_cast<int>(pick({QUTLASS_F32, QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16}));
  c.bias_dtype = static_cast<int>(pick({-1, QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16}));
  if (c.bias_dtype >= 0) c.bias = dense(c.bias_dtype, 1, c.b.rows).data;
  c.offset_a = rng() % 4 == 0 ? 1 + rng() % 15 : 0;
  c.offset_b = rng() % 4 == 0 ? 1 + rng() % 15 : 0;
}

std::string label(const Case& c) {
  return c.a.name + (c.a.layout ? "(blocked)" : "") + " x " + c.b.name + (c.b.layout ? "(blocked)" : "") +
         " " + std::to_string(c.a.rows) + "x" + std::to_string(c.b.rows) + "x" + std::to_string(c.a.cols) +
         (c.rotation.kind ? " rotated" : "") + (c.offset_a || c.offset_b ? " unaligned" : "") + " -> " +
         (c.out_dtype == QUTLASS_F32    ? "f32"
          : c.out_dtype == QUTLASS_BF16 ? "bf16"
                                        : "f16");
}

void random_pair(const std::function<Host(int64_t, int64_t)>& make_a, int64_t group_a,
                 const std::function<Host(int64_t, int64_t)>& make_b, int64_t group_b, int count,
                 bool dense_a) {
  const int64_t group = std::max(group_a, group_b);  // powers of two
  for (int i = 0; i < count; ++i) {
    const int64_t k =
        i == 0 ? group
               : group * (1 + static_cast<int64_t>(rng() %
                                                   static_cast<uint64_t>(std::max<int64_t>(2, 700 / group))));
    const int64_t m = i < 4 ? (const int64_t[]){1, 3, 17, 130}[i] : pick({1, 2, 5, 8, 9, 33, 64, 65, 129});
    const int64_t n = pick({1, 5, 7, 12, 63, 66, 71, 129, 131});
    Case c;
    c.a = make_a(m, k);
    c.b = make_b(n, k);
    decorate(c);
    if (dense_a && i % 3 == 2 && k % 16 == 0) {
      c.rotation = {QUTLASS_ROTATION_HADAMARD, 16, nullptr};
      if (rng() % 2) {
        rotation_data.resize(16);
        for (auto& s : rotation_data) s = rng() % 2 ? 1 : 0xFF;
        c.rotation.data = rotation_data.data();
        c.rotation_bytes = 16;
      } else if (rng() % 2) {
        rotation_data = dense(QUTLASS_BF16, 16, 16).data;
        c.rotation = {QUTLASS_ROTATION_MATRIX, 16, rotation_data.data()};
        c.rotation_bytes = 512;
      }
    }
    c.name = label(c);
    check(c, i % 2 == 1);
  }
}

void random_problems(int count) {
  std::vector<const Q*> all = {&kMxfp4, &kMxfp8, &kNvfp4, &kFp8, &kInt8, &kInt4, &kNf4};
  const auto dense_maker = [](int dtype) { return [=](int64_t r, int64_t c) { return dense(dtype, r, c); }; };
  const auto maker = [](const Format& f) {
    return
        [=](int64_t r, int64_t c) { return quantized(f, r, c, size_of(f.f.scale_dtype) == 1 && rng() % 2); };
  };
  for (int da : {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16}) {
    for (int db : {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16})
      random_pair(dense_maker(da), 1, dense_maker(db), 1, count, true);
    for (const Q* family : all)
      for (const Format& f : *family)
        random_pair(dense_maker(da), 1, maker(f), smallest_group(f.f), std::max(count * 2 / 3, 3), true);
  }
  const auto pairs = [&](const Q& left, const Q& right) {
    for (const Format& a : left)
      for (const Format& b : right)
        random_pair(maker(a), smallest_group(a.f), maker(b), smallest_group(b.f), std::max(count * 2 / 3, 4),
                    false);
  };
  pairs(kMxfp4, kMxfp4);
  pairs(kMxfp4, kMxfp8);
  pairs(kMxfp8, kMxfp4);
  pairs(kMxfp8, kMxfp8);
  pairs(kNvfp4, kNvfp4);
  pairs(kFp8, kFp8);
  pairs(kInt8, kInt8);
  pairs(kInt8, kInt4);
  pairs(kInt4, kInt8);
  pairs(kInt4, kInt4);
}

// ---- particular problems
// -------------------------------------------------------------------------------------------
void long_k() {
  for (const Format& f : {kInt8[1], kInt8[2]}) {
    Case c;
    c.a = quantized(f, 3, 140000, 0);
    c.b = quantized(f, 5, 140000, 0);
    // All products large and of one sign: 140000 of them leave int32.
    for (auto& code : c.a.data) code = 0x80;
    for (size_t i = 0; i < c.b.data.size() / 2; ++i) c.b.data[i] = 0x80;
    dequantize(c.a);
    dequantize(c.b);
    c.name = "long " + label(c);
    check(c);
  }
  Case w8;
  w8.a = dense(QUTLASS_BF16, 3, 140000);
  w8.b = quantized(kInt8[1], 5, 140000, 0);
  w8.name = "long " + label(w8);
  check(w8);
  Case nv;
  nv.a = quantized(kNvfp4[0], 2, 140000, 0);
  nv.b = quantized(kNvfp4[0], 9, 140000, 1);
  nv.name = "long " + label(nv);
  check(nv);
}

void large() {
  // Shapes that take the large tiles on any GPU.
  for (int i = 0; i < 7; ++i) {
    Case c;
    const int64_t m = i % 2 ? 2049 : 2176, n = 1928 + i, k = 256;
    switch (i) {
      case 0:
        c.a = dense(QUTLASS_BF16, m, k);
        c.b = dense(QUTLASS_BF16, n, k);
        break;
      case 1:
        c.a = dense(QUTLASS_F16, m, k);
        c.b = quantized(kNvfp4[0], n, k, 1);
        break;
      case 2:
        c.a = dense(QUTLASS_BF16, m, k);
        c.b = quantized(kNf4[0], n, k, 0);
        break;
      case 3:
        c.a = dense(QUTLASS_F32, m, k);
        c.b = dense(QUTLASS_F16, n, k);
        break;
      case 4:
        c.a = quantized(kInt8[2], m, k, 0);
        c.b = quantized(kInt8[2], n, k, 0);
        break;
      case 5:
        c.a = quantized(kInt4[3], m, k, 0);
        c.b = quantized(kInt4[0], n, k, 0);
        break;
      default:
        c.a = quantized(kMxfp4[1], m, k, 1);
        c.b = quantized(kMxfp8[0], n, k, 0);
        break;
    }
    c.out_dtype = QUTLASS_BF16;
    c.name = "large " + label(c);
    check(c, false, false);
  }
}

void specials() {
  const auto both = [](const char* what, Case c) {
    c.name = std::string(what) + " " + label(c);
    check(c);
  };
  for (const int m : {3, 20}) {
    Case c;
    c.a = dense(QUTLASS_BF16, m, 128);
    c.b = quantized(kInt4[3], 40, 128, 0);
    put(c.a.data.data(), QUTLASS_BF16, 128 + 5, NAN);
    put(c.a.data.data(), QUTLASS_BF16, 2 * 128 + 77, INFINITY);
    for (size_t i = 0; i < c.a.values.size(); ++i)
      c.a.values[i] = get(c.a.data.data(), QUTLASS_BF16, static_cast<int64_t>(i));
    both("NaN and Inf in A", c);

    Case s;
    s.a = quantized(kNvfp4[0], m, 64, 0);
    s.b = quantized(kNvfp4[0], 40, 64, 1);
    s.a.scales[4 + 1] = 0x7F;
    s.b.scales[blocked(9, 2, 4)] = 0x7F;
    for (int g = 0; g < 4; ++g) s.b.scales[blocked(11, g, 4)] = 0;
    dequantize(s.a);
    dequantize(s.b);
    both("NaN and zero scales", s);

    Case z;
    z.a = dense(QUTLASS_F32, m, 96);
    z.b = quantized(kMxfp8[0], 33, 96, 0);
    std::fill(z.a.data.begin(), z.a.data.begin() + 96 * 4, 0);
    z.b.scales[3] = 0xFF;
    z.b.data[0] = 0x7F;
    std::fill(z.b.data.begin() + 96 * 7, z.b.data.begin() + 96 * 8, 0x80);
    dequantize(z.b);
    for (size_t i = 0; i < z.a.values.size(); ++i)
      z.a.values[i] = get(z.a.data.data(), QUTLASS_F32, static_cast<int64_t>(i));
    both("zero rows, NaN scale and code", z);

    // Small and large numbers, whose products are ordinary.
    Case e;
    e.a = dense(QUTLASS_F32, m, 64);
    e.b = dense(QUTLASS_F32, 20, 64);
    for (int64_t i = 0; i < m * 64; ++i) put(e.a.data.data(), QUTLASS_F32, i, 1e-28 * normal());
    for (int64_t i = 0; i < 20 * 64; ++i) put(e.b.data.data(), QUTLASS_F32, i, 3.4e38 * uniform());
    put(e.b.data.data(), QUTLASS_F32, 3, 3.4028235e38);
    for (size_t i = 0; i < e.a.values.size(); ++i)
      e.a.values[i] = get(e.a.data.data(), QUTLASS_F32, static_cast<int64_t>(i));
    for (size_t i = 0; i < e.b.values.size(); ++i)
      e.b.values[i] = get(e.b.data.data(), QUTLASS_F32, static_cast<int64_t>(i));
    both("large times small", e);

    // Subnormal float16 and scales far apart.
    Case d;
    d.a = dense(QUTLASS_F16, m, 64);
    d.b = quantized(kMxfp4[0], 20, 64, 0);
    for (int64_t i = 0; i < m * 64; ++i) put(d.a.data.data(), QUTLASS_F16, i, 1e-6 * normal());
    for (size_t i = 0; i < d.a.values.size(); ++i)
      d.a.values[i] = get(d.a.data.data(), QUTLASS_F16, static_cast<int64_t>(i));
    for (auto& scale : d.b.scales) scale = static_cast<uint8_t>(60 + rng() % 120);
    dequantize(d.b);
    both("subnormals", d);
  }
}

void refusals() {
  if (!has_gpu) return;
  const auto expect = [](const char* kernel, const Case& c, const char* text) {
    const Run run = place(gpu, c);
    const qutlass_status status = qutlass_matmul_supported(kernel_index(kernel), &run.problem);
    const bool good = status == QUTLASS_E_UNSUPPORTED && std::strstr(qutlass_last_error(), text);
    report(std::string(kernel) + " refuses " + label(c),
           good ? "" : "status " + std::to_string(status) + ": " + qutlass_last_error());
    gpu.free_all();
  };
  Case ints, floats;
  ints.a = quantized(kInt8[1], 4, 64, 0);
  ints.b = quantized(kInt4[0], 8, 64, 0);
  floats.a = dense(QUTLASS_BF16, 9, 64);
  floats.b = quantized(kMxfp4[0], 8, 64, 0);
  expect("cuda.f32.mma", ints, "integer accumulators");
  expect("cuda.gemv", ints, "integer accumulators");
  expect("cuda.i32.mma", floats, "int8 and int4");
  expect("cuda.gemv", floats, "at most 8 rows");
  const Run run = place(gpu, floats);
  const qutlass_status status = qutlass_matmul(gpu.stream, kernel_index("cpu.reference"), &run.problem);
  report("a CPU kernel refuses a CUDA stream",
         status == QUTLASS_E_UNSUPPORTED ? "" : "status " + std::to_string(status));
  gpu.free_all();
}

// A second stream of the device, so that scratch memory is recycled across streams.
void second_stream() {
  if (!has_gpu) return;
  qutlass_stream* first = gpu.stream;
  must(qutlass_stream_create(gpu.device, &gpu.stream), "stream_create");
  for (int i = 0; i < 4; ++i) {
    Case c;
    c.a = dense(QUTLASS_BF16, 5 + 20 * i, 256);
    c.b = quantized(kNvfp4[0], 77, 256, 1);
    c.rotation = {QUTLASS_ROTATION_HADAMARD, 64, nullptr};
    c.name = "second stream " + label(c);
    check(c, i % 2 == 1);
  }
  must(qutlass_stream_synchronize(gpu.stream), "synchronize");
  qutlass_stream_destroy(gpu.stream);
  gpu.stream = first;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::printf("usage: %s GOLDEN_DIR [device] [random cases per pair]\n", argv[0]);
    return 2;
  }
  if (!cpu.open("cpu")) {
    std::printf("cpu: %s\n", qutlass_last_error());
    return 2;
  }
  const char* name = argc > 2 ? argv[2] : "cuda:0";
  has_gpu = gpu.open(name);
  if (!has_gpu) std::printf("SKIP %s: %s\n", name, qutlass_last_error());
  for (int i = 0; i < qutlass_kernel_count(); ++i) {
    qutlass_kernel_info info;
    must(qutlass_kernel_get_info(i, &info), "kernel_get_info");
    std::printf("%-16s %-5s %-6s %-4s tile %d x %d x %d, %g of %s peak, available %d\n", info.name,
                info.device, info.requires_isa, info.accumulator, info.tile_m, info.tile_n, info.tile_k,
                info.peak_fraction, info.precision, info.available);
    kernels.push_back(info);
  }
  golden(argv[1]);
  specials();
  refusals();
  second_stream();
  long_k();
  const int count = argc > 3 ? std::atoi(argv[3]) : 6;
  if (has_gpu && count >= 4) large();
  random_problems(count);
  for (const int kind : {0, 1}) {
    std::printf("%s kernels used up to 2^%.1f of sum |A||W| (allowed: 2^-%d and 2^-8 |D*|)\n",
                kind == 0 ? "f32" : "f22", std::log2(worst_ratio[kind] + 1e-30), kind == 0 ? 16 : 11);
  }
  std::printf("matmul: %d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}
