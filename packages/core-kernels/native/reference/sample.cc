// Choosing the next token from logits.
#include <cmath>
#include <limits>
#include <numeric>

#include "check.h"
#include "dense_rows.h"
#include "device.h"
#include "memory.h"
#include "numerics/philox.h"

namespace qutlass {
namespace {

// The first largest logit; NaN counts as none, and a row of them gives 0.
int32_t argmax(const float* logits, int32_t classes) {
  int32_t best = -1;
  float largest = -std::numeric_limits<float>::infinity();
  for (int32_t i = 0; i < classes; ++i) {
    if (logits[i] > largest || (best < 0 && logits[i] == largest)) {
      best = i;
      largest = logits[i];
    }
  }
  return std::max(best, 0);
}

// The classes among which one row draws.
class Candidates {
 public:
  // indices and weights: room for `classes` each.
  Candidates(const float* logits, int32_t classes, float temperature, int32_t* indices, float* weights)
      : logits_(logits), weights_(weights), begin_(indices), end_(indices) {
    const float largest = logits[argmax(logits, classes)];
    for (int32_t i = 0; i < classes; ++i) {
      if (std::isnan(logits[i])) continue;
      *end_++ = i;
      // The comparison keeps infinity minus infinity out.
      weights[i] = logits[i] == largest ? 1.0f : std::exp((logits[i] - largest) / temperature);
    }
  }

  void keep_top_k(int32_t k) {
    if (k == 0 || k >= end_ - begin_) return;
    std::nth_element(begin_, begin_ + k, end_, [this](int32_t a, int32_t b) { return before(a, b); });
    end_ = begin_ + k;
    std::sort(begin_, end_);
  }

  // Takes the likeliest from a heap, so that only those that stay are sorted.
  void keep_top_p(float p) {
    if (p >= 1.0f) return;
    const double wanted = static_cast<double>(p) * mass();
    const auto after = [this](int32_t a, int32_t b) { return before(b, a); };
    std::make_heap(begin_, end_, after);
    double taken = 0;
    int32_t* heap_end = end_;
    while (heap_end > begin_ && (heap_end == end_ || taken < wanted)) {
      std::pop_heap(begin_, heap_end, after);
      taken += static_cast<double>(weights_[*--heap_end]);
    }
    begin_ = heap_end;
    std::sort(begin_, end_);
  }

  // The first class, by index, at which the weights so far exceed u times their sum; 0 if there are no
  // candidates.
  int32_t draw(float u) const {
    const double threshold = static_cast<double>(u) * mass();
    double passed = 0;
    int32_t chosen = 0;
    for (const int32_t* i = begin_; i < end_ && passed <= threshold; ++i) {
      passed += static_cast<double>(weights_[*i]);
      chosen = *i;
    }
    return chosen;
  }

 private:
  // By logit, the lower index first among equals. Weights would not do: small ones are all 0.
  bool before(int32_t a, int32_t b) const {
    return logits_[a] > logits_[b] || (logits_[a] == logits_[b] && a < b);
  }

  double mass() const {
    return std::accumulate(begin_, end_, 0.0, [this](double sum, int32_t i) { return sum + weights_[i]; });
  }

  const float* logits_;
  const float* weights_;
  int32_t* begin_;
  int32_t* end_;
};

void sample(Context& context, const qutlass_tensor& logits, const qutlass_tensor& counters,
            const qutlass_sampling& sampling, const qutlass_tensor& out) {
  const auto classes = static_cast<int32_t>(logits.shape[1]);
  const auto* counter = static_cast<const int32_t*>(counters.data);
  auto* chosen = static_cast<int32_t*>(out.data);
  context.threads.parallel_for(logits.shape[0], rows_per_piece(classes), [&](int64_t begin, int64_t end) {
    Scratch scratch(context.memory, static_cast<size_t>(classes) * (2 * sizeof(float) + sizeof(int32_t)));
    float* buffer = scratch.as<float>();
    float* weights = buffer + classes;
    int32_t* indices = scratch.as<int32_t>() + 2 * static_cast<int64_t>(classes);
    for (int64_t m = begin; m < end; ++m) {
      const float* row = load_row(logits, m * classes, classes, buffer);
      if (sampling.temperature == 0) {
        chosen[m] = argmax(row, classes);
        continue;
      }
      Candidates candidates(row, classes, sampling.temperature, indices, weights);
      candidates.keep_top_k(sampling.top_k);
      candidates.keep_top_p(sampling.top_p);
      const auto bits =
          philox(sampling.seed, {static_cast<uint32_t>(counter[m]), static_cast<uint32_t>(m), 0, 0});
      chosen[m] = candidates.draw(uniform(bits[0]));
    }
  });
}

void require_sampling(const qutlass_sampling* sampling) {
  if (!sampling) fail(QUTLASS_E_ARGUMENT, "sampling: expected parameters, got NULL");
  if (!(sampling->temperature >= 0) || !std::isfinite(sampling->temperature)) {
    fail(QUTLASS_E_ARGUMENT, "temperature: expected a finite number of at least 0, got %g",
         static_cast<double>(sampling->temperature));
  }
  if (sampling->top_k < 0) fail(QUTLASS_E_ARGUMENT, "top_k: expected at least 0, got %d", sampling->top_k);
  if (!(sampling->top_p > 0 && sampling->top_p <= 1)) {
    fail(QUTLASS_E_ARGUMENT, "top_p: expected a number above 0, at most 1, got %g",
         static_cast<double>(sampling->top_p));
  }
}

}  // namespace
}  // namespace qutlass

// Softmax of logits / temperature, cut to the top_k likeliest, then to the fewest of those that hold top_p of
// their mass. Row m draws with Philox, key seed, counter (counters[m], m, 0, 0).
extern "C" qutlass_status qutlass_sample(qutlass_stream* stream, const qutlass_tensor* logits,
                                         const qutlass_tensor* counters, const qutlass_sampling* sampling,
                                         const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_float_tensor("logits", logits, 2);
    if (logits->shape[1] > std::numeric_limits<int32_t>::max()) {
      fail(QUTLASS_E_SHAPE, "logits: expected columns that an i32 can count, got shape %s",
           shape_text(*logits).c_str());
    }
    require_tensor("counters", counters, 1, {QUTLASS_I32});
    require_shape("counters", *counters, {logits->shape[0]});
    require_sampling(sampling);
    require_tensor("out", out, 1, {QUTLASS_I32});
    require_shape("out", *out, {logits->shape[0]});
    if (const auto* gpu = stream->device.operations)
      return gpu->sample(*stream, *logits, *counters, *sampling, *out);
    stream->launch({logits->data, counters->data, out->data},
                   [logits = *logits, counters = *counters, sampling = *sampling,
                    out = *out](Context& context) { sample(context, logits, counters, sampling, out); });
  });
}
