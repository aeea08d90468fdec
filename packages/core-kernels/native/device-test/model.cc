// The model operations on a GPU against the CPU, which defines them. Uses nothing but the C ABI.
//
// Every case runs four times on the GPU: on two streams, and twice from a graph; the bits must agree. Tensors
// lie between guard zones of 256 bytes, outputs are poisoned. Tolerances are stated in each family.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "qutlass.h"

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kGuard = 256;
constexpr uint8_t kPoison = 0xA5;
const int32_t kFloats[] = {QUTLASS_F32, QUTLASS_BF16, QUTLASS_F16};

int passed = 0, failed = 0;
std::mt19937_64 rng(20240607);

std::string format(const char* text, ...) __attribute__((format(printf, 1, 2)));
std::string format(const char* text, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, text);
  std::vsnprintf(buffer, sizeof buffer, text, arguments);
  va_end(arguments);
  return buffer;
}

void report(const std::string& name, const std::string& problem) {
  (problem.empty() ? passed : failed) += 1;
  std::printf("%s %s%s%s\n", problem.empty() ? "PASS" : "FAIL", name.c_str(), problem.empty() ? "" : ": ",
              problem.c_str());
  std::fflush(stdout);
}

struct Failure {
  std::string text;
};

void ok(qutlass_status status, const char* what) {
  if (status != QUTLASS_OK) throw Failure{format("%s: status %d, %s", what, status, qutlass_last_error())};
}

// ---- tensors on the host
// ---------------------------------------------------------------------------------------------

int64_t bytes_of(int32_t dtype) { return dtype == QUTLASS_F32 || dtype == QUTLASS_I32 ? 4 : 2; }
const char* name_of(int32_t dtype) {
  return dtype == QUTLASS_F32 ? "f32" : dtype == QUTLASS_BF16 ? "bf16" : dtype == QUTLASS_F16 ? "f16" : "i32";
}

struct Tensor {
  int32_t dtype;
  std::vector<int64_t> shape;
  std::vector<uint8_t> data;
  int64_t shift = 0;  // bytes off a 256-byte boundary

  Tensor(int32_t type, std::vector<int64_t> extents) : dtype(type), shape(std::move(extents)) {
    data.assign(static_cast<size_t>(count() * bytes_of(dtype)), kPoison);
  }
  int64_t count() const {
    int64_t n = 1;
    for (int64_t extent : shape) n *= extent;
    return n;
  }
  double get(int64_t i) const {
    const uint8_t* at = data.data() + i * bytes_of(dtype);
    if (dtype == QUTLASS_F32) {
      float value;
      std::memcpy(&value, at, 4);
      return value;
    }
    if (dtype == QUTLASS_I32) {
      int32_t value;
      std::memcpy(&value, at, 4);
      return value;
    }
    uint16_t bits;
    std::memcpy(&bits, at, 2);
    if (dtype == QUTLASS_BF16) {
      const uint32_t wide = static_cast<uint32_t>(bits) << 16;
      float value;
      std::memcpy(&value, &wide, 4);
      return value;
    }
    _Float16 value;
    std::memcpy(&value, &bits, 2);
    return static_cast<float>(value);
  }
  void set(int64_t i, double value) {
    uint8_t* at = data.data() + i * bytes_of(dtype);
    const float narrow = static_cast<float>(value);
    if (dtype == QUTLASS_F32) {
      std::memcpy(at, &narrow, 4);
    } else if (dtype == QUTLASS_I32) {
      const int32_t integer = static_cast<int32_t>(value);
      std::memcpy(at, &integer, 4);
    } else if (dtype == QUTLASS_F16) {
      const _Float16 half = static_cast<_Float16>(narrow);
      std::memcpy(at, &half, 2);
    } else {
      uint32_t bits;
      std::memcpy(&bits, &narrow, 4);
      bits = narrow != narrow ? 0x7FC00000u : bits + 0x7FFFu + ((bits >> 16) & 1u);
      const uint16_t upper = static_cast<uint16_t>(bits >> 16);
      std::memcpy(at, &upper, 2);
    }
  }
  Tensor& normal(float sigma = 1) {
    std::normal_distribution<float> draw(0, sigma);
    for (int64_t i = 0; i < count(); ++i) set(i, draw(rng));
    return *this;
  }
  Tensor& integers(const std::vector<int64_t>& values) {
    for (int64_t i = 0; i < count(); ++i) set(i, static_cast<double>(values[static_cast<size_t>(i)]));
    return *this;
  }
  Tensor& at(int64_t bytes) {
    shift = bytes;
    return *this;
  }
};

// ---- running on a device
// ---------------------------------------------------------------------------------------------

using Operation = std::function<qutlass_status(qutlass_stream*, const std::vector<qutlass_tensor>&)>;

struct Backend {
  qutlass_device* device = nullptr;
  qutlass_stream* streams[2] = {};
};

// Waits for the stream and for what it writes to host memory.
void finish(qutlass_stream* stream) {
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    qutlass_status status = QUTLASS_OK;
    std::string text;
  } state;
  ok(qutlass_stream_call(
         stream,
         [](void* user, qutlass_status status) {
           auto* s = static_cast<State*>(user);
           std::lock_guard lock(s->mutex);
           s->status = status;
           if (status != QUTLASS_OK) s->text = qutlass_last_error();
           s->done = true;
           s->changed.notify_all();
         },
         &state),
     "stream_call");
  std::unique_lock lock(state.mutex);
  state.changed.wait(lock, [&] { return state.done; });
  if (state.status != QUTLASS_OK)
    throw Failure{format("work failed: status %d, %s", state.status, state.text.c_str())};
}

// The operands of a case in the memory of a device, each between guard zones.
class Placed {
 public:
  Placed(const Backend& backend, qutlass_stream* stream, const std::vector<Tensor>& operands)
      : backend_(backend), stream_(stream), operands_(operands) {
    for (const Tensor& operand : operands) {
      std::vector<uint8_t> image(static_cast<size_t>(2 * kGuard + operand.shift) + operand.data.size(),
                                 kPoison);
      std::copy(operand.data.begin(), operand.data.end(), image.begin() + kGuard + operand.shift);
      void* block = nullptr;
      ok(qutlass_alloc(backend.device, image.size(), &block), "alloc");
      blocks_.push_back(block);
      images_.push_back(std::move(image));
      qutlass_tensor tensor{};
      tensor.data = static_cast<char*>(block) + kGuard + operand.shift;
      tensor.dtype = operand.dtype;
      tensor.rank = static_cast<int32_t>(operand.shape.size());
      std::copy(operand.shape.begin(), operand.shape.end(), tensor.shape);
      tensors.push_back(tensor);
    }
    upload();
  }
  ~Placed() {
    for (void* block : blocks_) qutlass_free(backend_.device, block);
  }
  Placed(const Placed&) = delete;

  void upload() {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const qutlass_tensor whole = raw(i);
      ok(qutlass_write(stream_, images_[i].data(), images_[i].size(), &whole), "write");
    }
  }
  // The contents now; throws if a guard zone changed.
  std::vector<Tensor> download() {
    std::vector<std::vector<uint8_t>> images = images_;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      std::fill(images[i].begin(), images[i].end(), uint8_t{0});
      const qutlass_tensor whole = raw(i);
      ok(qutlass_read(stream_, &whole, images[i].data(), images[i].size()), "read");
    }
    finish(stream_);
    std::vector<Tensor> result = operands_;
    for (size_t i = 0; i < result.size(); ++i) {
      const int64_t begin = kGuard + result[i].shift,
                    end = begin + static_cast<int64_t>(result[i].data.size());
      for (int64_t b = 0; b < static_cast<int64_t>(images[i].size()); ++b) {
        if (b >= begin && b < end) continue;
        if (images[i][static_cast<size_t>(b)] != kPoison) {
          throw Failure{format("operand %zu: wrote %lld bytes %s the tensor", i,
                               static_cast<long long>(b < begin ? begin - b : b - end + 1),
                               b < begin ? "before" : "past the end of")};
        }
      }
      std::copy(images[i].begin() + begin, images[i].begin() + end, result[i].data.begin());
    }
    return result;
  }

  std::vector<qutlass_tensor> tensors;

 private:
  qutlass_tensor raw(size_t i) const {
    qutlass_tensor whole{};
    whole.data = blocks_[i];
    whole.dtype = QUTLASS_U8;
    whole.rank = 1;
    whole.shape[0] = static_cast<int64_t>(images_[i].size());
    return whole;
  }

  const Backend& backend_;
  qutlass_stream* stream_;
  const std::vector<Tensor>& operands_;
  std::vector<void*> blocks_;
  std::vector<std::vector<uint8_t>> images_;
};

std::vector<Tensor> run_once(const Backend& backend, int stream, const std::vector<Tensor>& operands,
                             const Operation& operation) {
  Placed placed(backend, backend.streams[stream], operands);
  ok(operation(backend.streams[stream], placed.tensors), "operation");
  return placed.download();
}

// Both replays of a graph.
std::vector<std::vector<Tensor>> run_graph(const Backend& backend, const std::vector<Tensor>& operands,
                                           const Operation& operation) {
  qutlass_stream* stream = backend.streams[1];
  Placed placed(backend, stream, operands);
  finish(stream);
  ok(qutlass_graph_begin(stream), "graph_begin");
  const qutlass_status status = operation(stream, placed.tensors);
  const std::string text = status == QUTLASS_OK ? "" : qutlass_last_error();
  qutlass_graph* graph = nullptr;
  ok(qutlass_graph_end(stream, &graph), "graph_end");
  if (status != QUTLASS_OK) throw Failure{"captured operation: " + text};
  std::vector<std::vector<Tensor>> results;
  for (int replay = 0; replay < 2; ++replay) {
    placed.upload();
    ok(qutlass_graph_launch(graph, stream), "graph_launch");
    results.push_back(placed.download());
  }
  qutlass_graph_destroy(graph);
  return results;
}

// ---- comparing
// -------------------------------------------------------------------------------------------------------

// |got - want| <= absolute + relative * |want| + one unit in the last place of narrow types; equal bits if
// exact. NaN and infinities must be where they are.
struct Tolerance {
  bool exact = true;
  double relative = 0;
  double absolute = 0;
};

constexpr Tolerance kExact{};
Tolerance within(double relative, double absolute) { return {false, relative, absolute}; }

std::string place(const Tensor& tensor, int64_t index) {
  std::string text = "]";
  for (size_t d = tensor.shape.size(); d-- > 0;) {
    text = std::to_string(index % tensor.shape[d]) + (text == "]" ? "" : ", ") + text;
    index /= tensor.shape[d];
  }
  return "[" + text;
}

std::string difference(const Tensor& got, const Tensor& want, Tolerance tolerance) {
  const double last_place = got.dtype == QUTLASS_BF16 ? 0x1p-7 : got.dtype == QUTLASS_F16 ? 0x1p-10 : 0;
  const double smallest = got.dtype == QUTLASS_F16 ? 0x1p-24 : 0;
  int64_t wrong = 0, first = -1;
  for (int64_t i = 0; i < got.count(); ++i) {
    const double g = got.get(i), w = want.get(i);
    bool same;
    if (std::isnan(w) || std::isnan(g)) {
      same = std::isnan(w) && std::isnan(g);
    } else if (tolerance.exact || std::isinf(w) || std::isinf(g)) {
      same = g == w && std::signbit(g) == std::signbit(w);
      // A value at the edge of the range may round to either side.
      if (!same && !tolerance.exact && std::isinf(w) != std::isinf(g)) {
        const double finite = std::isinf(w) ? g : w;
        same = got.dtype != QUTLASS_F32 && std::signbit(g) == std::signbit(w) &&
               std::fabs(finite) >= (got.dtype == QUTLASS_F16 ? 65504 : 3.3895e38);
      }
    } else {
      same = std::fabs(g - w) <=
             tolerance.absolute + (tolerance.relative + last_place) * std::fabs(w) + smallest;
    }
    if (same) continue;
    if (first < 0) first = i;
    ++wrong;
  }
  if (first < 0) return "";
  return format("%lld of %lld differ, first at %s: got %.9g, expected %.9g", static_cast<long long>(wrong),
                static_cast<long long>(got.count()), place(got, first).c_str(), got.get(first),
                want.get(first));
}

Backend cpu, gpu;

std::string same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b, const char* what) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].data == b[i].data) continue;
    const std::string text = difference(b[i], a[i], kExact);
    return format("%s: operand %zu has other bits, %s", what, i,
                  text.empty() ? "in NaNs only" : text.c_str());
  }
  return "";
}

// Runs a case on both devices. tolerances[i] is that of operand i; operands past its end must not change.
void check(const std::string& name, const std::vector<Tensor>& operands,
           const std::vector<Tolerance>& tolerances, const Operation& operation) {
  try {
    const std::vector<Tensor> want = run_once(cpu, 0, operands, operation);
    const std::vector<Tensor> got = run_once(gpu, 0, operands, operation);
    for (size_t i = 0; i < operands.size(); ++i) {
      if (i >= tolerances.size()) {
        if (got[i].data != operands[i].data) return report(name, format("changed its input, operand %zu", i));
        continue;
      }
      const std::string problem = difference(got[i], want[i], tolerances[i]);
      if (!problem.empty()) return report(name, format("operand %zu: %s", i, problem.c_str()));
    }
    std::string problem = same_bits(got, run_once(gpu, 1, operands, operation), "second stream");
    for (const auto& result : run_graph(gpu, operands, operation)) {
      if (problem.empty()) problem = same_bits(got, result, "graph");
    }
    report(name, problem);
  } catch (const Failure& failure) {
    report(name, failure.text);
  }
}

// ---- the operations
// --------------------------------------------------------------------------------------------------

// Values are converted exactly as on the CPU.
void test_embedding() {
  const auto op = [](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
    return qutlass_embedding(s, &t[1], &t[2], &t[0]);
  };
  for (int32_t from : kFloats) {
    for (int32_t to : kFloats) {
      for (int64_t width : {64, 7, 1, 3000}) {
        Tensor ids(QUTLASS_I32, {6}), table(from, {37, width}), out(to, {6, width});
        ids.integers({0, 36, -1, 37, INT32_MIN, 5});
        table.normal();
        for (double value :
             {static_cast<double>(kNaN), static_cast<double>(kInf), -0.0, 1e-41, 7e4, 3.4e38}) {
          table.set(static_cast<int64_t>(rng() % static_cast<uint64_t>(width)), value);
        }
        check(format("embedding %s -> %s width %lld", name_of(from), name_of(to),
                     static_cast<long long>(width)),
              {out, ids, table}, {kExact}, op);
      }
    }
  }
  Tensor ids(QUTLASS_I32, {1}), table(QUTLASS_BF16, {9, 64}), out(QUTLASS_BF16, {1, 64});
  check("embedding unaligned", {out.at(2), ids.integers({8}), table.normal().at(6)}, {kExact}, op);
}

// Sums of squares in another order: relative 4e-6, and a unit in the last place of the output type. The
// residual is a plain sum and exact.
void test_rms_norm() {
  for (const bool with_residual : {false, true}) {
    const auto op = [=](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
      return qutlass_rms_norm(s, &t[2], with_residual ? &t[1] : nullptr, &t[3], 1e-5f, &t[0]);
    };
    const auto in_place = [=](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
      return qutlass_rms_norm(s, &t[0], with_residual ? &t[1] : nullptr, &t[2], 1e-5f, &t[0]);
    };
    const Tolerance tolerance = within(4e-6, 1e-30);
    for (int32_t type : kFloats) {
      for (int64_t width : {1, 7, 64, 100, 1000, 4096, 4097, 5003, 16384, 20000, 24576}) {
        const int64_t rows = width > 4000 ? 3 : 65;
        Tensor x(type, {rows, width}), residual(type, {rows, width}), weight(type, {width}),
            out(type, {rows, width});
        x.normal(2), residual.normal(), weight.normal();
        const std::string name =
            format("rms_norm %s %lldx%lld%s", name_of(type), static_cast<long long>(rows),
                   static_cast<long long>(width), with_residual ? " + residual" : "");
        check(name, {out, residual, x, weight}, {tolerance, kExact}, op);
        check(name + " in place", {x, residual, weight}, {tolerance, kExact}, in_place);
      }
    }
    Tensor x(QUTLASS_F32, {6, 48}), residual(QUTLASS_BF16, {6, 48}), weight(QUTLASS_F16, {48}),
        out(QUTLASS_BF16, {6, 48});
    x.normal(), residual.normal(), weight.normal();
    x.set(3, kNaN), x.set(48 + 5, kInf), x.set(96 + 7, 3e19);
    for (int64_t i = 0; i < 48; ++i) x.set(144 + i, 0), residual.set(144 + i, 0), x.set(192 + i, 1e-42);
    check(format("rms_norm mixed types, NaN, Inf, zeros, denormals%s", with_residual ? " + residual" : ""),
          {out, residual, x, weight}, {within(4e-6, 1e-30), kExact}, op);
    check(format("rms_norm unaligned%s", with_residual ? " + residual" : ""),
          {out.at(2), residual.at(4), x.at(4), weight.at(2)}, {within(4e-6, 1e-30), kExact}, op);
    Tensor cube(QUTLASS_BF16, {2, 3, 128}), gain(QUTLASS_BF16, {128}), result(QUTLASS_F32, {2, 3, 128});
    check(format("rms_norm rank 3%s", with_residual ? " + residual" : ""),
          {result, Tensor(QUTLASS_F32, {2, 3, 128}).normal(), cube.normal(), gain.normal()},
          {within(4e-6, 1e-30), kExact}, op);
  }
}

// Sines and cosines within two units in the last place (2.4e-7) of values up to about 5: absolute 4e-6.
void test_rope() {
  const auto op = [](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
    return qutlass_rope(s, &t[0], &t[1], &t[2]);
  };
  for (int32_t type : kFloats) {
    for (int64_t head_dim : {2, 6, 64, 80, 100, 128, 256, 600}) {
      for (int64_t heads : {1, 5, 32}) {
        const int64_t tokens = heads == 5 ? 1 : 9;
        Tensor x(type, {tokens, heads, head_dim}), positions(QUTLASS_I32, {tokens}),
            inv_freq(QUTLASS_F32, {head_dim / 2});
        x.normal();
        positions.integers({100, 0, 1, 4095, 131071, -1, -300, 7, 16777217});
        for (int64_t i = 0; i < head_dim / 2; ++i) {
          inv_freq.set(i, std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
        }
        check(format("rope %s %lldx%lldx%lld", name_of(type), static_cast<long long>(tokens),
                     static_cast<long long>(heads), static_cast<long long>(head_dim)),
              {x, positions, inv_freq}, {within(0, 4e-6)}, op);
      }
    }
  }
  Tensor x(QUTLASS_BF16, {2, 3, 64}), positions(QUTLASS_I32, {2}), inv_freq(QUTLASS_F32, {32});
  x.normal(), inv_freq.normal();
  positions.integers({3, 1000}), x.set(5, kNaN), x.set(70, kInf), inv_freq.set(2, kInf);
  check("rope NaN, Inf, unaligned", {x.at(2), positions, inv_freq.at(4)}, {within(0, 4e-6)}, op);
  Tensor many(QUTLASS_F16, {20000, 2, 32}), places(QUTLASS_I32, {20000}), frequencies(QUTLASS_F32, {16});
  many.normal(), frequencies.normal(0.1f);
  for (int64_t i = 0; i < 20000; ++i) places.set(i, static_cast<double>(i % 5000));
  check("rope 20000 tokens", {many, places, frequencies}, {within(0, 4e-6)}, op);
}

// Exact.
void test_kv_append() {
  const auto op = [](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
    return qutlass_kv_append(s, &t[1], &t[2], &t[0]);
  };
  for (int32_t from : kFloats) {
    for (int32_t to : kFloats) {
      for (int64_t head_dim : {1, 33, 64}) {
        for (int64_t rows : {1, 5, 700}) {
          Tensor x(from, {rows, 3, head_dim}), positions(QUTLASS_I32, {rows}), cache(to, {100, 3, head_dim});
          x.normal(), cache.normal();
          for (int64_t i = 0; i < rows; ++i) positions.set(i, static_cast<double>(rng() % 110) - 5);
          if (rows == 5) positions.integers({7, 99, 7, 100, 7});
          check(format("kv_append %s -> %s %lld rows of 3x%lld, duplicates", name_of(from), name_of(to),
                       static_cast<long long>(rows), static_cast<long long>(head_dim)),
                {cache, x, positions}, {kExact}, op);
        }
      }
    }
  }
  Tensor x(QUTLASS_BF16, {3, 2, 64}), positions(QUTLASS_I32, {3}), cache(QUTLASS_BF16, {4, 2, 64});
  check("kv_append nothing in range", {cache.normal(), x.normal(), positions.integers({-1, 4, INT32_MAX})},
        {kExact}, op);
  check("kv_append unaligned", {cache.at(2), x.at(6), positions.integers({3, 0, 1})}, {kExact}, op);
}

struct AttentionCase {
  int64_t tokens, heads, kv_heads, head_dim, capacity;
  int32_t q = QUTLASS_BF16, k = QUTLASS_BF16, v = QUTLASS_BF16, out = QUTLASS_BF16;
  int64_t first = 0;  // position of the first token; the others follow
};

// Scores and sums in another order, exponentials within two units in the last place: absolute and relative
// 2e-5 on averages of values of about 1, and a unit in the last place of the output type.
void test_attention() {
  const Tolerance tolerance = within(2e-5, 2e-5);
  const auto run_case = [&](const AttentionCase& c, const std::string& note,
                            const std::function<void(Tensor&, Tensor&, Tensor&, Tensor&)>& change,
                            int64_t shift = 0) {
    Tensor q(c.q, {c.tokens, c.heads, c.head_dim}), k(c.k, {c.capacity, c.kv_heads, c.head_dim}),
        v(c.v, {c.capacity, c.kv_heads, c.head_dim}), positions(QUTLASS_I32, {c.tokens}),
        out(c.out, {c.tokens, c.heads, c.head_dim});
    q.normal(), k.normal(), v.normal();
    int64_t deepest = 0;
    for (int64_t m = 0; m < c.tokens; ++m) {
      positions.set(m, static_cast<double>(c.first + m));
      deepest = std::min(c.capacity, c.first + m + 1);
    }
    // What no token sees must not matter.
    for (int64_t i = deepest * c.kv_heads * c.head_dim; i < k.count(); ++i) k.set(i, kNaN), v.set(i, kNaN);
    if (change) change(q, k, v, positions);
    const float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    const auto op = [=](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
      return qutlass_attention(s, &t[1], &t[2], &t[3], &t[4], scale, &t[0]);
    };
    const auto in_place = [=](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
      return qutlass_attention(s, &t[0], &t[1], &t[2], &t[3], scale, &t[0]);
    };
    const std::string name =
        format("attention %lld tokens at %lld, heads %lld/%lld x %lld, capacity %lld, %s/%s/%s -> %s%s",
               static_cast<long long>(c.tokens), static_cast<long long>(c.first),
               static_cast<long long>(c.heads), static_cast<long long>(c.kv_heads),
               static_cast<long long>(c.head_dim), static_cast<long long>(c.capacity), name_of(c.q),
               name_of(c.k), name_of(c.v), name_of(c.out), note.c_str());
    q.at(shift), k.at(shift), v.at(shift), out.at(shift);
    check(name, {out, q, k, v, positions}, {tolerance}, op);
    if (c.q == c.out) check(name + ", in place", {q, k, v, positions}, {tolerance}, in_place);
  };

  // Decoding.
  for (int32_t type : kFloats) {
    for (int64_t head_dim : {1, 32, 64, 72, 80, 100, 128, 192, 256}) {
      run_case({1, 8, 2, head_dim, 700, type, type, type, type, 633}, "", nullptr);
    }
  }
  for (int64_t first : {0, 1, 31, 32, 33, 63, 64, 65, 255, 2999}) {
    run_case({.tokens = 1, .heads = 32, .kv_heads = 8, .head_dim = 128, .capacity = 3000, .first = first}, "",
             nullptr);
  }
  for (int64_t tokens : {2, 3, 4, 5, 16}) {
    run_case({.tokens = tokens, .heads = 4, .kv_heads = 4, .head_dim = 64, .capacity = 300, .first = 100}, "",
             nullptr);
    run_case({.tokens = tokens, .heads = 6, .kv_heads = 1, .head_dim = 128, .capacity = 1500, .first = 1400},
             "", nullptr);
  }
  run_case({.tokens = 1, .heads = 1, .kv_heads = 1, .head_dim = 8, .capacity = 1}, "", nullptr);
  // Prefill.
  for (int32_t type : kFloats) {
    for (int64_t head_dim : {1, 33, 64, 80, 128, 130, 256}) {
      run_case({70, 4, 2, head_dim, 200, type, type, type, type, 60}, "", nullptr);
    }
  }
  for (int64_t tokens : {17, 31, 64, 65, 129, 300}) {
    run_case({.tokens = tokens, .heads = 8, .kv_heads = 2, .head_dim = 128, .capacity = 2000, .first = 0}, "",
             nullptr);
    run_case({.tokens = tokens, .heads = 8, .kv_heads = 8, .head_dim = 64, .capacity = 2000, .first = 1600},
             "", nullptr);
  }
  run_case({.tokens = 2048, .heads = 6, .kv_heads = 2, .head_dim = 64, .capacity = 2048}, "", nullptr);
  // Types that differ, memory that is not aligned.
  for (int64_t tokens : {1, 40}) {
    run_case({tokens, 4, 2, 64, 90, QUTLASS_F32, QUTLASS_F16, QUTLASS_BF16, QUTLASS_F16, 30}, "", nullptr);
    run_case({tokens, 4, 2, 64, 90, QUTLASS_BF16, QUTLASS_F32, QUTLASS_F32, QUTLASS_F32, 30}, "", nullptr);
    run_case({.tokens = tokens, .heads = 4, .kv_heads = 2, .head_dim = 64, .capacity = 90, .first = 30},
             ", unaligned", nullptr, 2);
  }
  // Positions outside the cache, out of order and repeated; NaN and infinities that some rows see.
  for (int64_t tokens : {4, 80}) {
    for (int32_t type : {QUTLASS_F32, QUTLASS_BF16}) {
      const AttentionCase c{tokens, 4, 2, 128, 150, type, type, type, type, 0};
      run_case(c, ", positions anywhere", [](Tensor&, Tensor& k, Tensor& v, Tensor& positions) {
        k.normal(), v.normal();
        for (int64_t m = 0; m < positions.count(); ++m)
          positions.set(m, static_cast<double>(rng() % 170) - 10);
        positions.integers([&] {
          std::vector<int64_t> values;
          for (int64_t m = 0; m < positions.count(); ++m)
            values.push_back(static_cast<int64_t>(positions.get(m)));
          values[0] = -1, values[1] = INT32_MAX, values[2] = INT32_MIN, values[3] = 150;
          return values;
        }());
      });
      run_case(c, ", NaN in a key", [](Tensor&, Tensor& k, Tensor&, Tensor&) { k.set(2 * 256 + 5, kNaN); });
      run_case(c, ", NaN in a value", [](Tensor&, Tensor&, Tensor& v, Tensor&) { v.set(2 * 256 + 5, kNaN); });
      run_case(c, ", infinite value",
               [](Tensor&, Tensor&, Tensor& v, Tensor&) { v.set(3 * 256 + 130, -kInf); });
      run_case(c, ", scores of -infinity", [](Tensor& q, Tensor& k, Tensor&, Tensor&) {
        for (int64_t i = 0; i < q.count(); ++i) q.set(i, std::fabs(q.get(i)) + 0.1);
        k.set(5, -kInf), k.set(256 + 5, -kInf);  // all that the first two tokens see of kv head 0
      });
      run_case(c, ", scores of +infinity", [](Tensor& q, Tensor& k, Tensor&, Tensor&) {
        for (int64_t i = 0; i < q.count(); ++i) q.set(i, std::fabs(q.get(i)) + 0.1);
        k.set(2 * 256 + 5, kInf);
      });
      run_case(c, ", large scores", [](Tensor& q, Tensor&, Tensor&, Tensor&) {
        for (int64_t i = 0; i < q.count(); ++i) q.set(i, 8 * std::round(q.get(i)));
      });
    }
  }
  run_case(
      {.tokens = 20, .heads = 2, .kv_heads = 1, .head_dim = 64, .capacity = 50}, ", nothing visible",
      [](Tensor&, Tensor&, Tensor&, Tensor& positions) { positions.integers(std::vector<int64_t>(20, -1)); });
  if (gpu.device != cpu.device) {
    Tensor q(QUTLASS_F32, {1, 1, 257}), cache(QUTLASS_F32, {4, 1, 257}), positions(QUTLASS_I32, {1});
    std::vector<Tensor> operands{q.normal(), cache.normal(), positions.integers({0})};
    Placed placed(gpu, gpu.streams[0], operands);
    const auto& t = placed.tensors;
    const qutlass_status status = qutlass_attention(gpu.streams[0], &t[0], &t[1], &t[1], &t[2], 1, &t[0]);
    report("attention head_dim 257 is refused",
           status == QUTLASS_E_UNSUPPORTED ? ""
                                           : format("status %d, expected %d", status, QUTLASS_E_UNSUPPORTED));
  }
}

// add is exact. silu_mul: an exponential within two units in the last place, a division and two products:
// relative 1e-6.
void test_elementwise() {
  const auto silu = [](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
    return qutlass_silu_mul(s, &t[1], &t[2], &t[0]);
  };
  const auto add = [](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
    return qutlass_add(s, &t[1], &t[2], -0.37f, &t[0]);
  };
  const auto silu_in_place = [](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
    return qutlass_silu_mul(s, &t[0], &t[1], &t[0]);
  };
  const auto add_in_place = [](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
    return qutlass_add(s, &t[1], &t[0], 3.5f, &t[0]);
  };
  const Tolerance silu_tolerance = within(1e-6, 1e-36);
  const double special[] = {kNaN, kInf,  -kInf, 0.0,  -0.0,  1e-42, -1e-42,
                            88.8, -88.8, -104,  3e38, -3e38, 65519, -65521};
  for (int32_t a : kFloats) {
    for (int32_t b : kFloats) {
      for (int32_t out : kFloats) {
        for (int64_t count : {1, 7, 8, 4099}) {
          Tensor left(a, {count}), right(b, {count}), result(out, {count});
          left.normal(4), right.normal();
          if (count > 4000) {
            for (int64_t i = 0; i < 14 * 14; ++i) left.set(i, special[i / 14]), right.set(i, special[i % 14]);
          }
          const std::string name = format("%s, %s -> %s %lld", name_of(a), name_of(b), name_of(out),
                                          static_cast<long long>(count));
          check("silu_mul " + name, {result, left, right}, {silu_tolerance}, silu);
          check("add " + name, {result, left, right}, {kExact}, add);
        }
      }
    }
  }
  Tensor left(QUTLASS_BF16, {3, 1000003}), right(QUTLASS_BF16, {3, 1000003});
  left.normal(), right.normal();
  check("silu_mul in place 3x1000003", {left, right}, {silu_tolerance}, silu_in_place);
  check("add in place 3x1000003", {left, right}, {kExact}, add_in_place);
  Tensor x(QUTLASS_BF16, {1001}), y(QUTLASS_F32, {1001}), z(QUTLASS_F16, {1001});
  check("add unaligned", {z.at(2), x.normal().at(6), y.normal().at(4)}, {kExact}, add);
}

// Draws differ from the CPU's only at edges between classes (see sample.cu): one in a case of hundreds is let
// pass.
void test_sample() {
  const auto op_of = [](qutlass_sampling sampling) {
    return [=](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
      return qutlass_sample(s, &t[1], &t[2], &sampling, &t[0]);
    };
  };
  // temperature 0: exact.
  for (int32_t type : kFloats) {
    for (int64_t classes : {1, 2, 31, 33, 1000, 1023, 32000, 128256}) {
      Tensor logits(type, {9, classes}), counters(QUTLASS_I32, {9}), out(QUTLASS_I32, {9});
      logits.normal(3), counters.integers({0, 1, 2, 3, 4, 5, 6, 7, 8});
      for (int64_t i = 0; i < classes; ++i) {
        logits.set(classes + i, kNaN);
        logits.set(2 * classes + i, -kInf);
        logits.set(3 * classes + i, i % 2 ? 0.0 : -0.0);
        logits.set(4 * classes + i, i % 3 ? 1.0 : 2.0);
        if (i % 2 == 0) logits.set(5 * classes + i, kNaN);
        if (i % 5 == 4) logits.set(6 * classes + i, kInf);
        logits.set(7 * classes + i, i == 0 ? kNaN : -kInf);
        logits.set(8 * classes + i, -1e-42 * static_cast<double>(i % 7));
      }
      check(format("sample %s %lld classes, temperature 0", name_of(type), static_cast<long long>(classes)),
            {out, logits, counters}, {kExact}, op_of({0, 0, 1, 5}));
    }
  }
  struct Setting {
    const char* name;
    float temperature;
    int32_t top_k;
    float top_p;
  };
  const Setting settings[] = {{"plain", 1, 0, 1},
                              {"hot", 3, 0, 1},
                              {"cold", 0.05f, 0, 1},
                              {"colder than float32", 1e-30f, 0, 1},
                              {"top_k 1", 1, 1, 1},
                              {"top_k 50", 0.8f, 50, 1},
                              {"top_k of all but one", 1, -1, 1},
                              {"top_p 0.9", 1, 0, 0.9f},
                              {"top_p 0.99999", 1, 0, 0.99999f},
                              {"top_p 1e-6", 1, 0, 1e-6f},
                              {"top_k 40, top_p 0.95", 0.7f, 40, 0.95f}};
  for (int32_t type : kFloats) {
    for (int64_t classes : {1, 5, 100, 1000, 5003, 32000, 128256}) {
      if (classes > 32000 && type == QUTLASS_F16) continue;
      for (const Setting& setting : settings) {
        const int64_t rows = classes > 5003 ? 24 : 200;
        Tensor logits(type, {rows, classes}), counters(QUTLASS_I32, {rows}), out(QUTLASS_I32, {rows});
        logits.normal(2), out.integers(std::vector<int64_t>(static_cast<size_t>(rows), -7));
        for (int64_t m = 0; m < rows; ++m) counters.set(m, static_cast<double>(static_cast<int32_t>(rng())));
        for (int64_t i = 0; i < classes; ++i) {
          if (rows > 6 && i % 3 == 1) logits.set(classes + i, kNaN);
          if (rows > 6 && i % 3 != 1) logits.set(2 * classes + i, -kInf);
          logits.set(3 * classes + i, static_cast<double>(rng() % 3));  // ties at every edge
          logits.set(4 * classes + i, kNaN);
          if (i % 4 == 3) logits.set(5 * classes + i, kInf);
          logits.set(6 * classes + i, i % 2 ? 0.0 : -0.0);
          logits.set(7 * classes + i, -kInf);
        }
        const int32_t top_k = setting.top_k < 0 ? static_cast<int32_t>(classes - 1) : setting.top_k;
        const auto op = op_of({setting.temperature, top_k, setting.top_p, 0x123456789ABCDEFull});
        const std::string name = format("sample %s %lld classes, %s", name_of(type),
                                        static_cast<long long>(classes), setting.name);
        try {
          const std::vector<Tensor> operands{out, logits, counters};
          const auto want = run_once(cpu, 0, operands, op), got = run_once(gpu, 0, operands, op);
          int64_t different = 0, first = -1;
          for (int64_t m = 0; m < rows; ++m) {
            if (got[0].get(m) == want[0].get(m)) continue;
            if (first < 0) first = m;
            ++different;
          }
          std::string problem;
          if (different > 1) {
            problem = format("%lld of %lld rows differ, first row %lld: got %.0f, expected %.0f",
                             static_cast<long long>(different), static_cast<long long>(rows),
                             static_cast<long long>(first), got[0].get(first), want[0].get(first));
          } else if (different == 1) {
            std::printf("note: row %lld of the next case drew %.0f, the CPU %.0f\n",
                        static_cast<long long>(first), got[0].get(first), want[0].get(first));
          }
          if (problem.empty()) problem = same_bits(got, run_once(gpu, 1, operands, op), "second stream");
          for (const auto& result : run_graph(gpu, operands, op)) {
            if (problem.empty()) problem = same_bits(got, result, "graph");
          }
          report(name, problem);
        } catch (const Failure& failure) {
          report(name, failure.text);
        }
      }
    }
  }
  // The distribution of 50000 draws against the formula: chi squared with 7 degrees of freedom is above 29.9
  // once in 10000 times; the draws are always the same.
  const double logit[] = {0, 1, 2, -1, 0.5, 3, -4, 2.5};
  constexpr int64_t kRows = 50000;
  Tensor logits(QUTLASS_F32, {kRows, 8}), counters(QUTLASS_I32, {kRows}), out(QUTLASS_I32, {kRows});
  double probabilities[8], sum = 0;
  for (int i = 0; i < 8; ++i) sum += probabilities[i] = std::exp(logit[i] / 1.5);
  for (int64_t m = 0; m < kRows; ++m) {
    counters.set(m, static_cast<double>(m % 1000));
    for (int64_t i = 0; i < 8; ++i) logits.set(m * 8 + i, logit[i]);
  }
  try {
    const auto got = run_once(gpu, 0, {out, logits, counters}, op_of({1.5f, 0, 1, 99}));
    double counts[8] = {}, chi = 0;
    for (int64_t m = 0; m < kRows; ++m) {
      const double drawn = got[0].get(m);
      if (drawn < 0 || drawn > 7)
        throw Failure{format("row %lld drew %.0f", static_cast<long long>(m), drawn)};
      counts[static_cast<int>(drawn)] += 1;
    }
    for (int i = 0; i < 8; ++i) {
      const double expected = kRows * probabilities[i] / sum;
      chi += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    report("sample distribution", chi < 29.9 ? "" : format("chi squared %.1f, expected below 29.9", chi));
  } catch (const Failure& failure) {
    report("sample distribution", failure.text);
  }
}

// Exponentials within two units in the last place, sums in double: relative and absolute 2e-6.
void test_cross_entropy() {
  const auto op = [](qutlass_stream* s, const std::vector<qutlass_tensor>& t) {
    return qutlass_cross_entropy(s, &t[1], &t[2], &t[0]);
  };
  for (int32_t type : kFloats) {
    for (int64_t classes : {1, 2, 8, 33, 1000, 1024, 5003, 128256}) {
      Tensor logits(type, {14, classes}), targets(QUTLASS_I32, {14}), out(QUTLASS_F32, {14});
      logits.normal(5);
      for (int64_t m = 0; m < 14; ++m)
        targets.set(m, static_cast<double>(rng() % static_cast<uint64_t>(classes)));
      targets.set(1, -1), targets.set(2, static_cast<double>(classes)), targets.set(3, INT32_MIN);
      for (int64_t i = 0; i < classes; ++i) {
        logits.set(5 * classes + i, -kInf);
        if (i % 2) logits.set(6 * classes + i, -kInf);
        logits.set(9 * classes + i, i == classes - 1 ? 300.0 : -300.0);
        logits.set(10 * classes + i, 1e-42);
        logits.set(11 * classes + i, 6e4 - static_cast<double>(i % 5));
        if (i < classes / 2) logits.set(12 * classes + i, -kInf);
      }
      logits.set(4 * classes + classes / 2, kNaN);
      logits.set(7 * classes + classes / 3, kInf);
      logits.set(8 * classes, -kInf), targets.set(8, 0);
      check(format("cross_entropy %s %lld classes", name_of(type), static_cast<long long>(classes)),
            {out, logits, targets}, {within(2e-6, 2e-6)}, op);
    }
  }
  Tensor logits(QUTLASS_BF16, {3, 64}), targets(QUTLASS_I32, {3}), out(QUTLASS_F32, {3});
  check("cross_entropy unaligned", {out, logits.normal().at(2), targets.integers({0, 63, 5})},
        {within(2e-6, 2e-6)}, op);
}

// Nothing that the operations took from the pool is left in use.
void test_memory() {
  if (gpu.device == cpu.device) return;
  void* block = nullptr;
  for (qutlass_stream* stream : gpu.streams) finish(stream);
  qutlass_memory_stats stats{};
  if (qutlass_alloc(gpu.device, 64, &block) != QUTLASS_OK ||
      qutlass_memory_get_stats(gpu.device, &stats) != QUTLASS_OK) {
    return report("memory", qutlass_last_error());
  }
  qutlass_free(gpu.device, block);
  report("memory", stats.allocations == 1
                       ? ""
                       : format("%lld blocks in use, expected 1", static_cast<long long>(stats.allocations)));
}

bool open(Backend& backend, const char* name) {
  if (qutlass_device_open(name, 0, &backend.device) != QUTLASS_OK) return false;
  for (qutlass_stream*& stream : backend.streams) {
    if (qutlass_stream_create(backend.device, &stream) != QUTLASS_OK) return false;
  }
  return true;
}

}  // namespace

int main() {
  if (!open(cpu, "cpu")) {
    std::printf("FAIL cpu: %s\nmodel: 0 passed, 1 failed\n", qutlass_last_error());
    return 1;
  }
  const bool cuda = open(gpu, "cuda:0");
  if (!cuda) {
    std::printf("no cuda:0 (%s): the CPU is compared with itself\n", qutlass_last_error());
    gpu = cpu;
  }
  const struct {
    const char* name;
    void (*run)();
  } families[] = {
      {"embedding", test_embedding}, {"rms_norm", test_rms_norm},           {"rope", test_rope},
      {"kv_append", test_kv_append}, {"attention", test_attention},         {"elementwise", test_elementwise},
      {"sample", test_sample},       {"cross_entropy", test_cross_entropy}, {"memory", test_memory}};
  for (const auto& family : families) {
    const auto began = std::chrono::steady_clock::now();
    family.run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::printf("%s: %.1f s\n", family.name, seconds);
  }
  std::printf("model: %d passed, %d failed%s\n", passed, failed, cuda ? "" : " (no GPU: CPU only)");
  return failed ? 1 : 0;
}
