// Data movement and quantizers on a GPU against the CPU, which defines them. Uses nothing but the C ABI.
//
// Every case runs on two GPU streams and twice from a graph; the bits must agree. Buffers lie between guard
// zones of 256 bytes, outputs are poisoned. Bytes must equal those of the CPU except where a case says
// otherwise.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "qutlass.h"

namespace {

using Bytes = std::vector<uint8_t>;
constexpr size_t kGuard = 256;
constexpr uint8_t kPoison = 0xA5;
int passed = 0, failed = 0;
std::mt19937_64 rng(7);

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string text(const char* format, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

struct Failure {
  std::string what;
};

void ok(qutlass_status status) {
  if (status != QUTLASS_OK) throw Failure{text("status %d, %s", status, qutlass_last_error())};
}

void report(const std::string& name, const std::string& problem) {
  (problem.empty() ? passed : failed) += 1;
  std::printf("%s %s%s%s\n", problem.empty() ? "PASS" : "FAIL", name.c_str(), problem.empty() ? "" : ": ",
              problem.c_str());
  std::fflush(stdout);
}

// ---- running
// -----------------------------------------------------------------------------------------------------------

struct Buffer {
  const char* name;
  Bytes data;  // what it holds before; poison for outputs
  bool output = false;
  size_t shift = 0;  // bytes off a 256-byte boundary
};

Buffer input(const char* name, Bytes data, size_t shift = 0) { return {name, std::move(data), false, shift}; }
Buffer output(const char* name, int64_t bytes, size_t shift = 0) {
  return {name, Bytes(static_cast<size_t>(bytes), kPoison), true, shift};
}

using Operation = std::function<qutlass_status(qutlass_stream*, const std::vector<void*>&)>;

class Machine {
 public:
  explicit Machine(const char* name) : status_(qutlass_device_open(name, 0, &device_)) {
    if (status_ != QUTLASS_OK) return;
    for (auto& stream : streams) ok(qutlass_stream_create(device_, &stream));
  }
  bool is_open() const { return status_ == QUTLASS_OK; }
  qutlass_device* device() const { return device_; }
  qutlass_stream* streams[2] = {};

  std::vector<void*> allocate(const std::vector<Buffer>& buffers) {
    std::vector<void*> blocks;
    for (const Buffer& buffer : buffers) {
      blocks.push_back(nullptr);
      ok(qutlass_alloc(device_, whole(buffer), &blocks.back()));
    }
    return blocks;
  }
  void free(const std::vector<void*>& blocks) {
    for (void* block : blocks) qutlass_free(device_, block);
  }
  static std::vector<void*> data_of(const std::vector<Buffer>& buffers, const std::vector<void*>& blocks) {
    std::vector<void*> data;
    for (size_t i = 0; i < blocks.size(); ++i)
      data.push_back(static_cast<char*>(blocks[i]) + kGuard + buffers[i].shift);
    return data;
  }
  void fill(qutlass_stream* stream, const std::vector<Buffer>& buffers, const std::vector<void*>& blocks) {
    for (size_t i = 0; i < blocks.size(); ++i) {
      Bytes bytes(whole(buffers[i]), kPoison);
      std::copy(buffers[i].data.begin(), buffers[i].data.end(),
                bytes.begin() + static_cast<int64_t>(kGuard + buffers[i].shift));
      const qutlass_tensor tensor = raw(blocks[i], bytes.size());
      ok(qutlass_write(stream, bytes.data(), bytes.size(), &tensor));
    }
  }
  std::vector<Bytes> results(qutlass_stream* stream, const std::vector<Buffer>& buffers,
                             const std::vector<void*>& blocks) {
    std::vector<Bytes> read(blocks.size());
    for (size_t i = 0; i < blocks.size(); ++i) {
      read[i].resize(whole(buffers[i]));
      const qutlass_tensor tensor = raw(blocks[i], read[i].size());
      ok(qutlass_read(stream, &tensor, read[i].data(), read[i].size()));
    }
    ok(qutlass_stream_synchronize(stream));
    for (size_t i = 0; i < blocks.size(); ++i) {
      const size_t begin = kGuard + buffers[i].shift, end = begin + buffers[i].data.size();
      for (size_t j = 0; j < read[i].size(); ++j) {
        if ((j < begin || j >= end) && read[i][j] != kPoison) {
          throw Failure{text("wrote outside %s, %lld bytes from its start (it has %zu)", buffers[i].name,
                             static_cast<long long>(j) - static_cast<long long>(begin),
                             buffers[i].data.size())};
        }
      }
      Bytes inner(read[i].begin() + static_cast<int64_t>(begin), read[i].begin() + static_cast<int64_t>(end));
      if (!buffers[i].output && inner != buffers[i].data)
        throw Failure{text("changed the input %s", buffers[i].name)};
      read[i] = std::move(inner);
    }
    return read;
  }
  std::vector<Bytes> run(qutlass_stream* stream, const std::vector<Buffer>& buffers,
                         const Operation& operation) {
    const auto blocks = allocate(buffers);
    fill(stream, buffers, blocks);
    ok(operation(stream, data_of(buffers, blocks)));
    auto out = results(stream, buffers, blocks);
    free(blocks);
    return out;
  }
  // Twice from a graph.
  std::vector<std::vector<Bytes>> replay(const std::vector<Buffer>& buffers, const Operation& operation) {
    qutlass_stream* stream = streams[1];
    const auto blocks = allocate(buffers);
    ok(qutlass_graph_begin(stream));
    const qutlass_status status = operation(stream, data_of(buffers, blocks));
    const std::string error = status == QUTLASS_OK ? "" : qutlass_last_error();
    qutlass_graph* graph = nullptr;
    ok(qutlass_graph_end(stream, &graph));
    if (status != QUTLASS_OK) throw Failure{"capturing: " + error};
    std::vector<std::vector<Bytes>> out;
    for (int i = 0; i < 2; ++i) {
      fill(stream, buffers, blocks);
      ok(qutlass_graph_launch(graph, stream));
      out.push_back(results(stream, buffers, blocks));
    }
    qutlass_graph_destroy(graph);
    free(blocks);
    return out;
  }

 private:
  static size_t whole(const Buffer& buffer) { return buffer.data.size() + 2 * kGuard + buffer.shift; }
  static qutlass_tensor raw(void* data, size_t bytes) {
    qutlass_tensor tensor{};
    tensor.data = data;
    tensor.dtype = QUTLASS_U8;
    tensor.rank = 1;
    tensor.shape[0] = static_cast<int64_t>(bytes);
    return tensor;
  }
  qutlass_device* device_ = nullptr;
  qutlass_status status_;
};

Machine* cpu = nullptr;
Machine* gpu = nullptr;

// The problem of one buffer, or nothing.
using Compare =
    std::function<std::string(size_t, const Bytes& expected, const Bytes& got,
                              const std::vector<Bytes>& all_expected, const std::vector<Bytes>& all_got)>;

std::string difference(const Bytes& expected, const Bytes& got) {
  if (expected == got) return "";
  size_t count = 0, first = expected.size();
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == got[i]) continue;
    if (first == expected.size()) first = i;
    ++count;
  }
  std::string message = text("%zu of %zu bytes differ, first at %zu: cpu", count, expected.size(), first);
  for (size_t i = first; i < std::min(first + 8, expected.size()); ++i) message += text(" %02x", expected[i]);
  message += ", gpu";
  for (size_t i = first; i < std::min(first + 8, got.size()); ++i) message += text(" %02x", got[i]);
  return message;
}

// Runs everywhere; the outputs of the CPU.
std::vector<Bytes> check(const std::string& name, const std::vector<Buffer>& buffers,
                         const Operation& operation, const Compare& compare = nullptr) {
  std::vector<Bytes> expected;
  try {
    expected = cpu->run(cpu->streams[0], buffers, operation);
    if (!gpu) {
      report(name + " (cpu only)", "");
      return expected;
    }
    const auto got = gpu->run(gpu->streams[0], buffers, operation);
    auto again = gpu->replay(buffers, operation);
    again.push_back(gpu->run(gpu->streams[1], buffers, operation));
    std::string problem;
    for (size_t i = 0; i < buffers.size(); ++i) {
      if (!buffers[i].output) continue;
      for (const auto& other : again) {
        if (other[i] != got[i] && problem.empty())
          problem = text("%s is not the same in each run: ", buffers[i].name) + difference(got[i], other[i]);
      }
      const std::string here =
          compare ? compare(i, expected[i], got[i], expected, got) : difference(expected[i], got[i]);
      if (!here.empty() && problem.empty()) problem = text("%s: ", buffers[i].name) + here;
    }
    report(name, problem);
  } catch (const Failure& failure) {
    report(name, failure.what);
  }
  return expected;
}

// ---- data
// ----------------------------------------------------------------------------------------------------------------

const char* name_of(int32_t dtype) {
  const char* names[] = {"f32", "bf16", "f16", "i32", "i8", "u8", "e4m3", "e5m2", "e8m0"};
  return names[dtype];
}
int64_t size_of(int32_t dtype) {
  return dtype == QUTLASS_F32 || dtype == QUTLASS_I32 ? 4 : dtype <= QUTLASS_F16 ? 2 : 1;
}

qutlass_tensor tensor(void* data, int32_t dtype, std::vector<int64_t> shape) {
  qutlass_tensor t{};
  t.data = data;
  t.dtype = dtype;
  t.rank = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), t.shape);
  return t;
}

uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (x != x) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

Bytes dense(const std::vector<float>& values, int32_t dtype) {
  Bytes out(values.size() * static_cast<size_t>(size_of(dtype)));
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == QUTLASS_F32) {
      std::memcpy(&out[4 * i], &values[i], 4);
    } else {
      const uint16_t bits = dtype == QUTLASS_BF16 ? to_bf16(values[i])
                                                  : std::bit_cast<uint16_t>(static_cast<_Float16>(values[i]));
      std::memcpy(&out[2 * i], &bits, 2);
    }
  }
  return out;
}

float value(const Bytes& data, int32_t dtype, size_t i) {
  if (dtype == QUTLASS_F32) {
    float x;
    std::memcpy(&x, &data[4 * i], 4);
    return x;
  }
  uint16_t bits;
  std::memcpy(&bits, &data[2 * i], 2);
  return dtype == QUTLASS_BF16 ? std::bit_cast<float>(static_cast<uint32_t>(bits) << 16)
                               : static_cast<float>(std::bit_cast<_Float16>(bits));
}

Bytes random_bytes(int64_t count) {
  Bytes out(static_cast<size_t>(count));
  for (auto& byte : out) byte = static_cast<uint8_t>(rng());
  return out;
}

std::vector<float> normal(int64_t count, float sigma = 1) {
  std::normal_distribution<float> draw(0, sigma);
  std::vector<float> out(static_cast<size_t>(count));
  for (auto& x : out) x = draw(rng);
  return out;
}

// Rows of every kind: zeros, subnormal, huge, a NaN, an infinity, constant, random bits, one outlier.
std::vector<float> rows_of_every_kind(int64_t rows, int64_t cols) {
  auto x = normal(rows * cols);
  for (int64_t r = 0; r < rows; ++r) {
    float* row = &x[static_cast<size_t>(r * cols)];
    switch (r % 16) {
      case 1: std::fill_n(row, cols, 0.0f); break;
      case 2:
        for (int64_t i = 0; i < cols; ++i) row[i] *= 1e-39f;
        break;
      case 3:
        for (int64_t i = 0; i < cols; ++i) row[i] *= 1e37f;
        break;
      case 4: row[rng() % static_cast<uint64_t>(cols)] = NAN; break;
      case 5: row[rng() % static_cast<uint64_t>(cols)] = -INFINITY; break;
      case 6: std::fill_n(row, cols, 3.0f); break;
      case 7:
        for (int64_t i = 0; i < cols; ++i) row[i] = std::bit_cast<float>(static_cast<uint32_t>(rng()));
        break;
      case 8: row[rng() % static_cast<uint64_t>(cols)] = 1000; break;
      case 9:
        for (int64_t i = 0; i < cols; ++i) row[i] = std::fabs(row[i]) + 1;
        break;
      case 10:
        for (int64_t i = 0; i < cols; ++i) row[i] = -std::fabs(row[i]) - 0.0f;
        break;
      case 11:
        for (int64_t i = 0; i < cols; ++i) row[i] = std::ldexp(std::round(row[i] * 4), -3);
        break;  // ties
      case 12:
        for (int64_t i = 0; i < cols; ++i) row[i] *= 1e-30f;
        break;
      default: break;
    }
  }
  return x;
}

// ---- formats
// ---------------------------------------------------------------------------------------------------------------

struct Named {
  std::string name;
  qutlass_format format;
};

std::vector<Named> formats() {
  std::vector<Named> all;
  const char* rules[] = {"amax", "floor", "rceil", "abs_max", "quest", "nv", "four_six"};
  for (int rule = 1; rule <= 4; ++rule)
    all.push_back({text("mxfp4 %s", rules[rule]), {QUTLASS_E2M1, QUTLASS_F8_E8M0, rule, 1, 32, 0}});
  for (int element : {QUTLASS_E4M3, QUTLASS_E5M2}) {
    const char* name = element == QUTLASS_E4M3 ? "e4m3" : "e5m2";
    for (int rule : {1, 2})
      all.push_back({text("mxfp8 %s %s", name, rules[rule]), {element, QUTLASS_F8_E8M0, rule, 1, 32, 0}});
    const std::pair<int, int> groups[] = {{0, 0}, {1, 0}, {1, 128}, {128, 128}};
    for (auto [r, c] : groups)
      all.push_back({text("fp8 %s %dx%d", name, r, c), {element, QUTLASS_F32, 0, r, c, 0}});
  }
  for (int rule : {5, 6})
    all.push_back({text("nvfp4 %s", rules[rule]), {QUTLASS_E2M1, QUTLASS_F8_E4M3, rule, 1, 16, 0}});
  for (int zero : {0, 1}) {
    for (int r : {0, 1})
      all.push_back(
          {text("int8 %s zero %d", r ? "row" : "tensor", zero), {QUTLASS_INT8, QUTLASS_F32, 0, r, 0, zero}});
    for (int scale : {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16}) {
      for (int c : {32, 64, 128, 0}) {
        all.push_back({text("int4 g%d %s zero %d", c, name_of(scale), zero),
                       {zero ? QUTLASS_UINT4 : QUTLASS_INT4, scale, 0, 1, c, zero}});
      }
    }
  }
  for (int c : {32, 64, 128}) all.push_back({text("nf4 g%d", c), {QUTLASS_NF4, QUTLASS_F32, 0, 1, c, 0}});
  return all;
}

bool four_bits(const qutlass_format& f) { return f.element == QUTLASS_E2M1 || f.element >= QUTLASS_INT4; }
bool global(const qutlass_format& f) { return f.rule == 3 || f.rule >= 5; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t scale_rows(const qutlass_format& f, int64_t rows) {
  return f.group_rows ? ceil_div(rows, f.group_rows) : 1;
}
int64_t scale_cols(const qutlass_format& f, int64_t cols) {
  return f.group_cols ? ceil_div(cols, f.group_cols) : 1;
}

struct Layout {
  qutlass_format format;
  int64_t rows, cols;
  bool blocked;
  int64_t code_bytes() const { return rows * cols / (four_bits(format) ? 2 : 1); }
  int64_t groups() const { return scale_rows(format, rows) * scale_cols(format, cols); }
  int64_t scale_bytes() const {
    if (blocked) return ceil_div(scale_rows(format, rows), 128) * ceil_div(scale_cols(format, cols), 4) * 512;
    return groups() * size_of(format.scale_dtype);
  }
  qutlass_quantized quantized(void* codes, void* scales, void* zeros, void* global_scale, void* mask) const {
    qutlass_quantized q{};
    q.format = format;
    q.rows = rows;
    q.cols = cols;
    q.codes = codes;
    q.scales = scales;
    q.zero_points = format.zero_point ? zeros : nullptr;
    q.global_scale = global(format) ? static_cast<float*>(global_scale) : nullptr;
    q.clip_mask = format.rule == QUTLASS_RULE_MX_QUEST ? static_cast<uint8_t*>(mask) : nullptr;
    q.scale_layout = blocked ? QUTLASS_SCALES_BLOCKED_128X4 : QUTLASS_SCALES_ROW;
    return q;
  }
};

struct Turn {
  std::string name = "identity";
  int32_t kind = QUTLASS_ROTATION_IDENTITY, size = 1;
  Bytes data;
};

Turn hadamard(int32_t size, bool signs) {
  Turn turn{text("hadamard %d%s", size, signs ? " with signs" : ""), QUTLASS_ROTATION_HADAMARD, size, {}};
  if (signs) turn.data = random_bytes(size);
  return turn;
}
// Close to orthogonal, so that rotated elements are of the size of the others.
Turn matrix(int32_t size) {
  return {text("matrix %d", size), QUTLASS_ROTATION_MATRIX, size,
          dense(normal(int64_t{size} * size, 1 / std::sqrt(static_cast<float>(size))), QUTLASS_BF16)};
}
qutlass_rotation rotation(const Turn& turn, void* data) {
  return {turn.kind, turn.size, turn.data.empty() ? nullptr : data};
}
Buffer rotation_buffer(const Turn& turn) {
  return input("rotation", turn.data.empty() ? Bytes(16) : turn.data);
}

Bytes float_bytes(float x) { return dense({x}, QUTLASS_F32); }

// ---- quantize
// ----------------------------------------------------------------------------------------------------------------

uint8_t code_at(const Bytes& codes, bool packed, int64_t i) {
  if (!packed) return codes[static_cast<size_t>(i)];
  return codes[static_cast<size_t>(i / 2)] >> (i % 2 * 4) & 15;
}

// Codes that differ and scales that differ stay within a share. A rotation by a matrix sums in another order:
// of the codes 1e-4; the scales in float32 differ by rounding, those of a byte may take another step.
std::string nearly_equal(const Layout& layout, size_t buffer, const Bytes& expected, const Bytes& got) {
  if (buffer == 3) {
    int64_t count = 0, first = -1;
    for (int64_t i = 0; i < layout.rows * layout.cols; ++i) {
      if (code_at(expected, four_bits(layout.format), i) == code_at(got, four_bits(layout.format), i))
        continue;
      if (first < 0) first = i;
      ++count;
    }
    const int64_t allowed = 2 + layout.rows * layout.cols / 1000;
    if (count <= allowed) return "";
    return text("%lld codes differ, expected at most %lld; first %lld: cpu %d, gpu %d",
                static_cast<long long>(count), static_cast<long long>(allowed), static_cast<long long>(first),
                code_at(expected, four_bits(layout.format), first),
                code_at(got, four_bits(layout.format), first));
  }
  if (buffer == 4 && layout.format.scale_dtype <= QUTLASS_F16) {
    const float tolerance = layout.format.scale_dtype == QUTLASS_F32 ? 1e-4f : 1e-2f;
    for (int64_t i = 0; i < layout.groups(); ++i) {
      const float a = value(expected, layout.format.scale_dtype, static_cast<size_t>(i));
      const float b = value(got, layout.format.scale_dtype, static_cast<size_t>(i));
      if (!(std::fabs(a - b) <= tolerance * std::fabs(a)) && (a == a || b == b))
        return text("scale %lld: cpu %.9g, gpu %.9g", static_cast<long long>(i), a, b);
    }
    return "";
  }
  int64_t count = 0;
  for (size_t i = 0; i < expected.size(); ++i) count += expected[i] != got[i];
  const int64_t allowed = 2 + static_cast<int64_t>(expected.size()) / 500;
  return count <= allowed ? "" : difference(expected, got);
}

std::vector<Bytes> quantize_case(const Named& named, const Layout& layout, const std::vector<float>& x,
                                 int32_t dtype, const Turn& turn, size_t shift = 0) {
  const qutlass_format& f = layout.format;
  const float scale = f.rule == 3 ? 3.0f : f.rule == 5 ? 448 * 6 / 4.5f : 256 * 6 / 4.5f;
  const std::vector<Buffer> buffers = {input("x", dense(x, dtype), shift),
                                       rotation_buffer(turn),
                                       input("global scale", float_bytes(scale)),
                                       output("codes", layout.code_bytes(), shift ? 1 : 0),
                                       output("scales", layout.scale_bytes()),
                                       output("zero points", f.zero_point ? layout.groups() : 1),
                                       output("clip mask", f.rule == 4 ? layout.rows * layout.cols / 8 : 1)};
  const Operation operation = [&](qutlass_stream* stream, const std::vector<void*>& data) {
    const qutlass_tensor in = tensor(data[0], dtype, {layout.rows, layout.cols});
    const qutlass_rotation r = rotation(turn, data[1]);
    const qutlass_quantized out = layout.quantized(data[3], data[4], data[5], data[2], data[6]);
    return qutlass_quantize(stream, &in, &r, &out);
  };
  Compare compare;
  if (turn.kind == QUTLASS_ROTATION_MATRIX) {
    compare = [&](size_t i, const Bytes& expected, const Bytes& got, const auto&, const auto&) {
      return nearly_equal(layout, i, expected, got);
    };
  }
  return check(text("quantize %s %s [%lld, %lld] %s%s%s", named.name.c_str(), name_of(dtype),
                    static_cast<long long>(layout.rows), static_cast<long long>(layout.cols),
                    turn.name.c_str(), layout.blocked ? " blocked" : "", shift ? " shifted" : ""),
               buffers, operation, compare);
}

// ---- dequantize
// ----------------------------------------------------------------------------------------------------------------

// Hadamard: float32 sums against double. c is times the largest element of a row.
Compare close_rows(int32_t dtype, int64_t cols, size_t buffer, float c) {
  return [=](size_t i, const Bytes& expected, const Bytes& got, const auto&, const auto&) -> std::string {
    if (i != buffer) return difference(expected, got);
    const float ulp = dtype == QUTLASS_F32 ? 0 : dtype == QUTLASS_BF16 ? 0x1p-7f : 0x1p-10f;
    const size_t count = expected.size() / static_cast<size_t>(size_of(dtype));
    for (size_t row = 0; row < count; row += static_cast<size_t>(cols)) {
      float amax = 0;
      for (size_t k = row; k < row + static_cast<size_t>(cols); ++k) {
        const float a = std::fabs(value(expected, dtype, k));
        if (a < INFINITY) amax = std::max(amax, a);
      }
      for (size_t k = row; k < row + static_cast<size_t>(cols); ++k) {
        const float a = value(expected, dtype, k), b = value(got, dtype, k);
        const bool same = a == b || (a != a && b != b);
        if (!same && !(std::fabs(a - b) <= c * amax + ulp * std::fabs(a))) {
          return text("element %zu: cpu %.9g, gpu %.9g, row amax %.9g", k, a, b, amax);
        }
      }
    }
    return "";
  };
}

void dequantize_case(const Named& named, const Layout& layout, const Bytes& codes, const Bytes& scales,
                     const Bytes& zeros, float global_scale, int32_t dtype, const Turn& turn,
                     const char* what, size_t shift = 0) {
  const std::vector<Buffer> buffers = {
      input("codes", codes, shift), input("scales", scales),
      input("zero points", zeros),  input("global scale", float_bytes(global_scale)),
      rotation_buffer(turn),        output("out", layout.rows * layout.cols * size_of(dtype), shift ? 4 : 0)};
  const Operation operation = [&](qutlass_stream* stream, const std::vector<void*>& data) {
    qutlass_quantized q = layout.quantized(data[0], data[1], data[2], data[3], nullptr);
    const qutlass_rotation r = rotation(turn, data[4]);
    const qutlass_tensor out = tensor(data[5], dtype, {layout.rows, layout.cols});
    return qutlass_dequantize(stream, &q, &r, &out);
  };
  check(text("dequantize %s %s to %s [%lld, %lld] %s%s", named.name.c_str(), what, name_of(dtype),
             static_cast<long long>(layout.rows), static_cast<long long>(layout.cols), turn.name.c_str(),
             layout.blocked ? " blocked" : ""),
        buffers, operation,
        turn.kind == QUTLASS_ROTATION_IDENTITY ? Compare() : close_rows(dtype, layout.cols, 5, 2e-5f));
}

void quantizers() {
  const int32_t dtypes[] = {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16};
  int turn_index = 0;
  for (const Named& named : formats()) {
    const qutlass_format& f = named.format;
    const bool byte_scales = f.scale_dtype >= QUTLASS_F8_E4M3, row_groups = f.group_rows == 1;
    for (int blocked = 0; blocked <= (byte_scales ? 1 : 0); ++blocked) {
      const Layout layout{f, 131, 640, blocked != 0};
      const auto x = row_groups ? rows_of_every_kind(131, 640) : normal(131 * 640);
      const int32_t dtype = dtypes[turn_index % 3];
      const auto out = quantize_case(named, layout, x, dtype, Turn{});
      quantize_case(named, layout, x, QUTLASS_F32, hadamard(128, turn_index % 2), 4);
      quantize_case(named, layout, normal(131 * 640), dtypes[(turn_index + 1) % 3],
                    matrix(std::vector<int>{16, 32, 64, 128, 20, 5}[static_cast<size_t>(turn_index % 6)]));
      ++turn_index;
      if (out.empty()) continue;
      const Bytes& zeros = out[5];
      for (int32_t to : dtypes) {
        dequantize_case(named, layout, out[3], out[4], zeros, 300.7f, to, Turn{}, "data");
        dequantize_case(named, layout, random_bytes(layout.code_bytes()),
                        byte_scales || f.group_cols != 32 ? random_bytes(layout.scale_bytes()) : out[4],
                        zeros, 1e-3f, to, Turn{}, "random bits", 2);
      }
      const auto clean = cpu->run(
          cpu->streams[0],
          {input("x", dense(normal(131 * 640), QUTLASS_F32)), input("g", float_bytes(100)),
           output("c", layout.code_bytes()), output("s", layout.scale_bytes()), output("z", layout.groups()),
           output("m", 131 * 640)},
          [&](qutlass_stream* stream, const std::vector<void*>& data) {
            const qutlass_tensor in = tensor(data[0], QUTLASS_F32, {131, 640});
            const qutlass_quantized q = layout.quantized(data[2], data[3], data[4], data[1], data[5]);
            return qutlass_quantize(stream, &in, nullptr, &q);
          });
      dequantize_case(named, layout, clean[2], clean[3], clean[4], 100, dtypes[turn_index % 3],
                      hadamard(turn_index % 2 ? 128 : 32, true), "data");
      dequantize_case(named, layout, clean[2], clean[3], clean[4], 100, QUTLASS_F32,
                      matrix(turn_index % 2 ? 64 : 20), "data");
    }
    // One row; many columns; edges of squares and tiles.
    std::vector<std::pair<int64_t, int64_t>> shapes = {{1, 128}, {1, 4096}, {128, 128}, {257, 384}};
    if (f.group_cols == 0) {
      for (auto shape : {std::pair<int64_t, int64_t>{3, 20000}, {2, 40002}, {5, 18}, {300, 34}, {9, 4104}})
        shapes.push_back(shape);
      if (!four_bits(f)) shapes.push_back({7, 17});
    }
    for (auto [rows, cols] : shapes) {
      const bool tail = f.group_cols > 0 && f.group_cols < 128;
      quantize_case(named, {f, rows, cols, byte_scales}, normal(rows * cols), dtypes[(rows + cols) % 3],
                    Turn{}, tail ? 4 : 0);
    }
    if (f.group_rows == 0) {  // a NaN anywhere makes the only group NaN
      auto x = normal(64 * 256);
      x[5000] = NAN;
      quantize_case(named, {f, 64, 256, false}, x, QUTLASS_BF16, Turn{});
    }
  }
}

void large_rotations() {
  const auto all = formats();
  const auto of = [&](const char* name) {
    return *std::find_if(all.begin(), all.end(), [&](const Named& n) { return n.name == name; });
  };
  for (const char* name : {"mxfp4 floor", "mxfp4 quest", "nvfp4 nv", "nvfp4 four_six", "fp8 e4m3 1x0",
                           "fp8 e4m3 0x0", "fp8 e4m3 128x128", "int8 row zero 1", "int4 g64 bf16 zero 1"}) {
    const Named named = of(name);
    for (int32_t size : {2, 4, 8, 16, 32, 64, 256, 512, 1024, 2048, 4096, 8192, 16384}) {
      const int64_t cols = std::max(384, size), rows = size > 4096 ? 3 : 21;
      if (cols % size) {
        quantize_case(named, {named.format, rows, 768, false}, normal(rows * 768), QUTLASS_BF16,
                      hadamard(size, true));
        continue;
      }
      quantize_case(named, {named.format, rows, cols, false}, normal(rows * cols),
                    size % 3 ? QUTLASS_BF16 : QUTLASS_F32, hadamard(size, size != 64));
    }
    for (int32_t size : {16, 32, 64, 128, 96, 384})
      quantize_case(named, {named.format, 37, 384, false}, normal(37 * 384), QUTLASS_BF16, matrix(size));
  }
  // Rows that no block holds: 40960 and 65536 columns.
  for (const char* name : {"fp8 e4m3 1x0", "int8 row zero 0", "int4 g0 f32 zero 0"}) {
    const Named named = of(name);
    quantize_case(named, {named.format, 3, 65536, false}, normal(3 * 65536), QUTLASS_BF16,
                  hadamard(64, true));
    quantize_case(named, {named.format, 3, 65536, false}, normal(3 * 65536), QUTLASS_BF16,
                  hadamard(16384, true));
    quantize_case(named, {named.format, 2, 40960, false}, normal(2 * 40960), QUTLASS_BF16, matrix(128));
    quantize_case(named, {named.format, 2, 30720, false}, normal(2 * 30720), QUTLASS_BF16,
                  hadamard(512, true));
    quantize_case(named, {named.format, 300, 12288, false}, normal(300 * 12288), QUTLASS_BF16,
                  hadamard(4096, true));
    quantize_case(named, {named.format, 300, 12288, false}, normal(300 * 12288), QUTLASS_BF16, matrix(128));
  }
}

void rotations() {
  const int32_t dtypes[] = {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16};
  int n = 0;
  std::vector<Turn> turns = {Turn{}};
  for (int32_t size = 2; size <= 16384; size *= 2) turns.push_back(hadamard(size, size % 3 != 1));
  for (int32_t size : {1, 3, 16, 32, 64, 128, 130, 256}) turns.push_back(matrix(size));
  for (const Turn& turn : turns) {
    const int64_t cols = turn.size * (turn.size > 1000 ? 1 : 3), rows = turn.size > 1000 ? 5 : 77;
    const int32_t from = dtypes[n % 3], to = dtypes[n / 3 % 3];
    ++n;
    const auto x =
        turn.kind == QUTLASS_ROTATION_MATRIX ? normal(rows * cols) : rows_of_every_kind(rows, cols);
    const std::vector<Buffer> buffers = {input("x", dense(x, from)), rotation_buffer(turn),
                                         output("out", rows * cols * size_of(to))};
    Compare compare = close_rows(to, cols, 2, turn.kind == QUTLASS_ROTATION_MATRIX ? 1e-5f : 0);
    check(
        text("rotate %s %s to %s [%lld, %lld]", turn.name.c_str(), name_of(from), name_of(to),
             static_cast<long long>(rows), static_cast<long long>(cols)),
        buffers,
        [&](qutlass_stream* stream, const std::vector<void*>& data) {
          const qutlass_tensor in = tensor(data[0], from, {rows, cols}),
                               out = tensor(data[2], to, {rows, cols});
          const qutlass_rotation r = rotation(turn, data[1]);
          return qutlass_rotate(stream, &in, &r, &out);
        },
        compare);
  }
}

void global_scales() {
  for (int rule : {3, 5, 6}) {
    for (const Turn& turn : {Turn{}, hadamard(32, true), hadamard(1024, true), matrix(32), matrix(24)}) {
      for (int kind = 0; kind < 4; ++kind) {
        const int64_t rows = kind == 3 ? 1 : 700, cols = 3072;
        auto x = normal(rows * cols, kind == 1 ? 0.0f : kind == 2 ? 1e-39f : 1.0f);
        if (kind == 0) x[100] = NAN, x[5000] = INFINITY, x[7000] = -17;
        qutlass_format f{
            QUTLASS_E2M1, rule == 3 ? QUTLASS_F8_E8M0 : QUTLASS_F8_E4M3, rule, 1, rule == 3 ? 32 : 16, 0};
        const std::vector<Buffer> buffers = {input("x", dense(x, kind == 2 ? QUTLASS_F32 : QUTLASS_BF16)),
                                             rotation_buffer(turn), output("out", 4)};
        check(
            text("global_scale rule %d %s kind %d", rule, turn.name.c_str(), kind), buffers,
            [&](qutlass_stream* stream, const std::vector<void*>& data) {
              const qutlass_tensor in = tensor(data[0], kind == 2 ? QUTLASS_F32 : QUTLASS_BF16, {rows, cols}),
                                   out = tensor(data[2], QUTLASS_F32, {1});
              const qutlass_rotation r = rotation(turn, data[1]);
              return qutlass_global_scale(stream, &in, &r, &f, &out);
            },
            turn.kind == QUTLASS_ROTATION_MATRIX ? close_rows(QUTLASS_F32, 1, 2, 1e-5f) : Compare());
      }
    }
  }
}

// ---- elements, codes, scales, copies
// -----------------------------------------------------------------------------------------

void elements() {
  // All upper halves of float32, with the lower halves that decide ties.
  std::vector<float> x;
  for (uint32_t upper = 0; upper < 65536; ++upper) {
    for (uint32_t lower : {0u, 1u, 0x7FFFu, 0x8000u, 0xFFFFu, static_cast<uint32_t>(rng() & 0xFFFF)})
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
  }
  const auto count = static_cast<int64_t>(x.size());
  for (int32_t element = 0; element < QUTLASS_ELEMENT_COUNT; ++element) {
    check(text("encode element %d", element), {input("x", dense(x, QUTLASS_F32)), output("out", count)},
          [&](qutlass_stream* stream, const std::vector<void*>& data) {
            const qutlass_tensor in = tensor(data[0], QUTLASS_F32, {count}),
                                 out = tensor(data[1], QUTLASS_U8, {count});
            return qutlass_encode(stream, &in, element, &out);
          });
    Bytes codes(259);
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i);
    check(text("decode element %d", element), {input("codes", codes, 1), output("out", 259 * 4, 4)},
          [&](qutlass_stream* stream, const std::vector<void*>& data) {
            const qutlass_tensor in = tensor(data[0], QUTLASS_U8, {259}),
                                 out = tensor(data[1], QUTLASS_F32, {259});
            return qutlass_decode(stream, &in, element, &out);
          });
  }
  for (auto [rows, cols] : {std::pair<int64_t, int64_t>{1, 2}, {3, 26}, {64, 512}, {1000, 6}}) {
    for (size_t shift : {0, 1}) {
      check(text("pack4 [%lld, %lld]", static_cast<long long>(rows), static_cast<long long>(cols)),
            {input("codes", random_bytes(rows * cols), shift), output("out", rows * cols / 2, shift)},
            [&](qutlass_stream* stream, const std::vector<void*>& data) {
              const qutlass_tensor in = tensor(data[0], QUTLASS_U8, {rows, cols}),
                                   out = tensor(data[1], QUTLASS_U8, {rows, cols / 2});
              return qutlass_pack4(stream, &in, &out);
            });
      for (int sign : {0, 1}) {
        check(text("unpack4 [%lld, %lld] sign %d", static_cast<long long>(rows), static_cast<long long>(cols),
                   sign),
              {input("packed", random_bytes(rows * cols / 2), shift), output("out", rows * cols, shift)},
              [&](qutlass_stream* stream, const std::vector<void*>& data) {
                const qutlass_tensor in = tensor(data[0], QUTLASS_U8, {rows, cols / 2}),
                                     out = tensor(data[1], QUTLASS_I8, {rows, cols});
                return qutlass_unpack4(stream, &in, sign, &out);
              });
      }
    }
  }
  for (auto [rows, cols] :
       {std::pair<int64_t, int64_t>{1, 1}, {128, 4}, {129, 5}, {31, 3}, {300, 66}, {1000, 7}}) {
    const int64_t bytes = ceil_div(rows, 128) * ceil_div(cols, 4) * 512;
    check(text("scales_to_blocked [%lld, %lld]", static_cast<long long>(rows), static_cast<long long>(cols)),
          {input("scales", random_bytes(rows * cols)), output("out", bytes)},
          [&](qutlass_stream* stream, const std::vector<void*>& data) {
            const qutlass_tensor in = tensor(data[0], QUTLASS_U8, {rows, cols}),
                                 out = tensor(data[1], QUTLASS_U8, {bytes});
            return qutlass_scales_to_blocked(stream, &in, &out);
          });
    check(
        text("scales_from_blocked [%lld, %lld]", static_cast<long long>(rows), static_cast<long long>(cols)),
        {input("blocked", random_bytes(bytes)), output("out", rows * cols)},
        [&](qutlass_stream* stream, const std::vector<void*>& data) {
          const qutlass_tensor in = tensor(data[0], QUTLASS_U8, {bytes}),
                               out = tensor(data[1], QUTLASS_U8, {rows, cols});
          return qutlass_scales_from_blocked(stream, &in, &out);
        });
  }
}

void copies() {
  for (int32_t from = 0; from < QUTLASS_DTYPE_COUNT; ++from) {
    for (int32_t to = 0; to < QUTLASS_DTYPE_COUNT; ++to) {
      if (from != to && to > QUTLASS_F16) continue;
      const int64_t count = 70001;
      Bytes bits = random_bytes(count * size_of(from));
      if (from == QUTLASS_BF16 || from == QUTLASS_F16) {
        for (int64_t i = 0; i < 65536; ++i)
          bits[static_cast<size_t>(2 * i)] = static_cast<uint8_t>(i),
                                       bits[static_cast<size_t>(2 * i + 1)] = static_cast<uint8_t>(i >> 8);
      } else if (from == QUTLASS_I32) {
        for (int64_t i = 0; i < count; ++i)
          bits[static_cast<size_t>(4 * i + 3)] =
              static_cast<uint8_t>(rng() % 3 ? (rng() % 2 ? 0 : 255) : rng());
      }
      for (size_t shift : {0, 4}) {
        check(text("convert %s to %s%s", name_of(from), name_of(to), shift ? " shifted" : ""),
              {input("x", bits, shift), output("out", count * size_of(to), shift)},
              [&](qutlass_stream* stream, const std::vector<void*>& data) {
                const qutlass_tensor in = tensor(data[0], from, {count}), out = tensor(data[1], to, {count});
                return qutlass_convert(stream, &in, &out);
              });
      }
    }
  }
  for (int32_t dtype : {QUTLASS_U8, QUTLASS_BF16, QUTLASS_F32}) {
    for (auto [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {33, 65}, {128, 256}, {1, 1000}, {777, 3}}) {
      const int64_t size = size_of(dtype);
      const std::string shape =
          text("%s [%lld, %lld]", name_of(dtype), static_cast<long long>(rows), static_cast<long long>(cols));
      check("transpose " + shape,
            {input("x", random_bytes(rows * cols * size)), output("out", rows * cols * size)},
            [&](qutlass_stream* stream, const std::vector<void*>& data) {
              const qutlass_tensor in = tensor(data[0], dtype, {rows, cols}),
                                   out = tensor(data[1], dtype, {cols, rows});
              return qutlass_transpose(stream, &in, &out);
            });
      for (auto [r, c] : {std::pair<int64_t, int64_t>{rows + 5, cols + 3},
                          {rows, cols + 64},
                          {std::max<int64_t>(1, rows / 2), cols + 1},
                          {rows + 1, std::max<int64_t>(1, cols - 1)}}) {
        check(text("pad %s to [%lld, %lld]", shape.c_str(), static_cast<long long>(r),
                   static_cast<long long>(c)),
              {input("x", random_bytes(rows * cols * size)), output("out", r * c * size)},
              [&](qutlass_stream* stream, const std::vector<void*>& data) {
                const qutlass_tensor in = tensor(data[0], dtype, {rows, cols}),
                                     out = tensor(data[1], dtype, {r, c});
                return qutlass_pad(stream, &in, &out);
              });
      }
      check("copy_rows " + shape,
            {input("x", random_bytes(rows * cols * size)), output("out", (rows + 7) * cols * size)},
            [&](qutlass_stream* stream, const std::vector<void*>& data) {
              const qutlass_tensor in = tensor(data[0], dtype, {rows, cols}),
                                   out = tensor(data[1], dtype, {rows + 7, cols});
              return qutlass_copy_rows(stream, &in, &out, 3);
            });
      check("slice_rows " + shape,
            {input("x", random_bytes((rows + 7) * cols * size)), output("out", rows * cols * size)},
            [&](qutlass_stream* stream, const std::vector<void*>& data) {
              const qutlass_tensor in = tensor(data[0], dtype, {rows + 7, cols}),
                                   out = tensor(data[1], dtype, {rows, cols});
              return qutlass_slice_rows(stream, &in, 2, &out);
            });
    }
  }
  for (int32_t dtype : {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16}) {
    for (auto [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {33, 40}, {70, 17}, {500, 3}, {900, 1}}) {
      for (int64_t scales : {int64_t{1}, rows}) {
        auto scale = normal(scales);
        for (auto& s : scale) s = std::fabs(s) * 0.02f + 1e-4f;
        if (scales > 4) scale[2] = 0, scale[3] = NAN;
        check(
            text("quantize_int8_with_scale %s [%lld, %lld], %lld scales", name_of(dtype),
                 static_cast<long long>(rows), static_cast<long long>(cols), static_cast<long long>(scales)),
            {input("x", dense(rows_of_every_kind(rows, cols), dtype)), input("scale", dense(scale, dtype)),
             output("out", rows * cols)},
            [&](qutlass_stream* stream, const std::vector<void*>& data) {
              const qutlass_tensor in = tensor(data[0], dtype, {rows, cols}),
                                   s = tensor(data[1], dtype, {scales}),
                                   out = tensor(data[2], QUTLASS_I8, {rows, cols});
              return qutlass_quantize_int8_with_scale(stream, &in, &s, &out);
            });
      }
    }
  }
}

// ---- speed, for information
// -----------------------------------------------------------------------------------------------

void time_it(const std::string& name, double bytes, const std::vector<Buffer>& buffers,
             const Operation& operation) {
  try {
    qutlass_stream* stream = gpu->streams[0];
    const auto blocks = gpu->allocate(buffers);
    for (size_t i = 0; i < blocks.size(); ++i) gpu->fill(stream, {buffers[i]}, {blocks[i]});
    const auto data = Machine::data_of(buffers, blocks);
    qutlass_graph* graph = nullptr;
    ok(qutlass_graph_begin(stream));
    for (int i = 0; i < 20; ++i) ok(operation(stream, data));
    ok(qutlass_graph_end(stream, &graph));
    ok(qutlass_graph_launch(graph, stream));
    ok(qutlass_stream_synchronize(stream));
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      ok(qutlass_graph_launch(graph, stream));
      ok(qutlass_stream_synchronize(stream));
      best = std::min(best,
                      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 20);
    }
    std::printf("TIME %s: %.1f us, %.0f GB/s\n", name.c_str(), best * 1e6, bytes / best * 1e-9);
    std::fflush(stdout);
    qutlass_graph_destroy(graph);
    gpu->free(blocks);
  } catch (const Failure& failure) {
    report("timing " + name, failure.what);
  }
}

void speed() {
  for (auto [rows, cols] : {std::pair<int64_t, int64_t>{8192, 8192}, {1, 4096}}) {
    const Bytes x = dense(normal(rows * cols), QUTLASS_BF16);
    for (const Named& named : formats()) {
      const qutlass_format& f = named.format;
      if (f.scale_dtype == QUTLASS_F16 || (f.element == QUTLASS_E5M2)) continue;
      std::vector<Turn> turns = {Turn{}};
      if (named.name == "mxfp4 floor" || named.name == "nvfp4 nv" || named.name == "fp8 e4m3 1x0") {
        turns = {
            Turn{},     hadamard(16, true), hadamard(128, true), hadamard(256, true), hadamard(1024, true),
            matrix(16), matrix(128)};
      }
      for (const Turn& turn : turns) {
        const Layout layout{f, rows, cols, f.scale_dtype >= QUTLASS_F8_E4M3};
        time_it(text("quantize %s [%lld, %lld] %s", named.name.c_str(), static_cast<long long>(rows),
                     static_cast<long long>(cols), turn.name.c_str()),
                static_cast<double>(rows * cols * 2 + layout.code_bytes() + layout.scale_bytes()),
                {input("x", x), rotation_buffer(turn), input("g", float_bytes(500)),
                 output("c", layout.code_bytes()), output("s", layout.scale_bytes()),
                 output("z", layout.groups()), output("m", rows * cols / 8)},
                [&](qutlass_stream* stream, const std::vector<void*>& data) {
                  const qutlass_tensor in = tensor(data[0], QUTLASS_BF16, {rows, cols});
                  const qutlass_rotation r = rotation(turn, data[1]);
                  const qutlass_quantized out = layout.quantized(data[3], data[4], data[5], data[2], data[6]);
                  return qutlass_quantize(stream, &in, &r, &out);
                });
        if (rows == 1) continue;
        time_it(text("dequantize %s [%lld, %lld] %s", named.name.c_str(), static_cast<long long>(rows),
                     static_cast<long long>(cols), turn.name.c_str()),
                static_cast<double>(rows * cols * 2 + layout.code_bytes() + layout.scale_bytes()),
                {output("x", rows * cols * 2), rotation_buffer(turn), input("g", float_bytes(500)),
                 output("c", layout.code_bytes()), output("s", layout.scale_bytes()),
                 output("z", layout.groups())},
                [&](qutlass_stream* stream, const std::vector<void*>& data) {
                  const qutlass_tensor out = tensor(data[0], QUTLASS_BF16, {rows, cols});
                  const qutlass_rotation r = rotation(turn, data[1]);
                  const qutlass_quantized q = layout.quantized(data[3], data[4], data[5], data[2], nullptr);
                  return qutlass_dequantize(stream, &q, &r, &out);
                });
      }
    }
    const qutlass_format nv{QUTLASS_E2M1, QUTLASS_F8_E4M3, QUTLASS_RULE_NV, 1, 16, 0};
    time_it(text("global_scale [%lld, %lld]", static_cast<long long>(rows), static_cast<long long>(cols)),
            static_cast<double>(rows * cols * 2), {input("x", x), output("g", 4)},
            [&](qutlass_stream* stream, const std::vector<void*>& data) {
              const qutlass_tensor in = tensor(data[0], QUTLASS_BF16, {rows, cols}),
                                   out = tensor(data[1], QUTLASS_F32, {1});
              return qutlass_global_scale(stream, &in, nullptr, &nv, &out);
            });
    time_it(
        text("convert bf16 to f16 [%lld, %lld]", static_cast<long long>(rows), static_cast<long long>(cols)),
        static_cast<double>(rows * cols * 4), {input("x", x), output("o", rows * cols * 2)},
        [&](qutlass_stream* stream, const std::vector<void*>& data) {
          const qutlass_tensor in = tensor(data[0], QUTLASS_BF16, {rows, cols}),
                               out = tensor(data[1], QUTLASS_F16, {rows, cols});
          return qutlass_convert(stream, &in, &out);
        });
    time_it(text("transpose bf16 [%lld, %lld]", static_cast<long long>(rows), static_cast<long long>(cols)),
            static_cast<double>(rows * cols * 4), {input("x", x), output("o", rows * cols * 2)},
            [&](qutlass_stream* stream, const std::vector<void*>& data) {
              const qutlass_tensor in = tensor(data[0], QUTLASS_BF16, {rows, cols}),
                                   out = tensor(data[1], QUTLASS_BF16, {cols, rows});
              return qutlass_transpose(stream, &in, &out);
            });
  }
}

}  // namespace

int main() {
  Machine host("cpu"), device("cuda:0");
  cpu = &host;
  if (device.is_open()) {
    gpu = &device;
  } else {
    std::printf("no GPU, only the CPU half runs\n");
  }
  elements();
  copies();
  rotations();
  global_scales();
  quantizers();
  large_rotations();
  if (gpu) speed();
  std::printf("quant: %d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}
