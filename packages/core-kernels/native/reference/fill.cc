// Tensors filled with one byte or with random numbers, and the checksum of a tensor.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include "check.h"
#include "device.h"
#include "numerics/dense.h"
#include "numerics/random.h"

namespace qutlass {
namespace {

constexpr int64_t kPiece = 1 << 16;

void fill_random(Context& context, uint64_t seed, float deviation, const qutlass_tensor& out) {
  const int64_t count = element_count(out);
  if (is_float(out.dtype)) {
    const float factor = bell_factor(deviation);
    context.threads.parallel_for(count, kPiece, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) store_dense(out.data, out.dtype, i, random_bell(seed, i, factor));
    });
    return;
  }
  const int64_t bytes = count * dtype_bytes(out.dtype);
  context.threads.parallel_for((bytes + 15) / 16, kPiece / 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto words = random_words(seed, i);
      std::memcpy(static_cast<char*>(out.data) + 16 * i, words.data(),
                  static_cast<size_t>(std::min<int64_t>(16, bytes - 16 * i)));
    }
  });
}

// Words that are rotated alike.
constexpr int64_t kTurns = 32;

int32_t checksum(Context& context, const qutlass_tensor& x) {
  const auto* data = static_cast<const char*>(x.data);
  const int64_t bytes = element_count(x) * dtype_bytes(x.dtype);
  std::atomic<uint32_t> sum = 0;
  static_assert(kPiece % kTurns == 0);
  context.threads.parallel_for((bytes + 3) / 4, kPiece, [&](int64_t begin, int64_t end) {
    // Rotated at the end, and not one by one: memory is slower than what is left.
    uint32_t words[kTurns] = {};
    int64_t i = begin;
    for (; 4 * (i + kTurns) <= bytes && i + kTurns <= end; i += kTurns) {
      uint32_t next[kTurns];
      std::memcpy(next, data + 4 * i, sizeof next);
      for (int64_t turn = 0; turn < kTurns; ++turn) words[turn] ^= next[turn];
    }
    for (; i < end; ++i) {
      uint32_t word = 0;
      std::memcpy(&word, data + 4 * i, static_cast<size_t>(std::min<int64_t>(4, bytes - 4 * i)));
      words[i % kTurns] ^= word;
    }
    uint32_t part = 0;
    for (int turn = 0; turn < kTurns; ++turn) part ^= std::rotl(words[turn], turn);
    sum ^= part;
  });
  return std::bit_cast<int32_t>(sum.load());
}

}  // namespace
}  // namespace qutlass

extern "C" {

qutlass_status qutlass_fill(qutlass_stream* stream, int32_t value, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("out", out);
    if (value < 0 || value > 255) fail(QUTLASS_E_ARGUMENT, "value: expected 0 to 255, got %d", value);
    const int64_t bytes = element_count(*out) * dtype_bytes(out->dtype);
    if (const auto* gpu = stream->device.operations) return gpu->fill(*stream, value, out->data, bytes);
    stream->launch({out->data}, [=, data = out->data](Context& context) {
      context.threads.parallel_for(bytes, kPiece, [&](int64_t begin, int64_t end) {
        std::memset(static_cast<char*>(data) + begin, value, static_cast<size_t>(end - begin));
      });
    });
  });
}

qutlass_status qutlass_fill_random(qutlass_stream* stream, uint64_t seed, float deviation,
                                   const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("out", out);
    if (!std::isfinite(deviation) || deviation < 0) {
      fail(QUTLASS_E_ARGUMENT, "deviation: expected a finite number from 0 on, got %g",
           static_cast<double>(deviation));
    }
    if (const auto* gpu = stream->device.operations) return gpu->fill_random(*stream, seed, deviation, *out);
    stream->launch({out->data},
                   [=, out = *out](Context& context) { fill_random(context, seed, deviation, out); });
  });
}

qutlass_status qutlass_checksum(qutlass_stream* stream, const qutlass_tensor* x, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_tensor("x", x);
    require_tensor("out", out, 1, {QUTLASS_I32});
    require_shape("out", *out, {1});
    if (const auto* gpu = stream->device.operations) return gpu->checksum(*stream, *x, *out);
    stream->launch({x->data, out->data}, [x = *x, out = *out](Context& context) {
      *static_cast<int32_t*>(out.data) = checksum(context, x);
    });
  });
}

}  // extern "C"
