// Choosing the next token from logits: a block to a row at a time.
//
// Probabilities add up as integers, so that a choice is the same in every order of summation: a weight
// exp((logit - largest) / temperature) is the float32 that the CPU has (exp in double, rounded) in units of
// 2^-45 for 128 Ki classes, which leaves no error where it is above 2^-22. A draw can differ from the CPU's
// only where u falls within about 2^-40 of the edge between two classes, or where the exponential of its C
// library is not the nearest float32.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "block_search.cuh"
#include "cuda/atoms/dependent_launch.cuh"
#include "cuda/operations.h"
#include "dense.cuh"
#include "launch.h"
#include "numerics/philox.h"
#include "scratch.h"

namespace qutlass::cuda {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kKeyBits = 32;
// A histogram of the upper bits of the keys bounds what top_k leaves.
constexpr int kBinBits = 12;
constexpr int kBins = 1 << kBinBits;

struct Sampling {
  Dense logits;
  const int32_t* counters;
  int32_t* out;
  int64_t rows;
  int classes;
  float temperature;
  int top_k;  // 0: all
  float top_p;
  uint64_t seed;
  float mass_scale;  // a power of two: the sum over all classes stays below 2^63
  // Of each block: weight and key of every class, and the classes that are left. Keys and classes are there
  // only when top_k or top_p narrow the choice.
  float* weights;
  uint32_t* keys;
  int32_t* classes_left;
};

// Unsigned numbers in the order of the logits; 0 is below all and stands for NaN. -0 and 0 are the same.
__device__ uint32_t order_key(float logit) {
  if (isnan(logit)) return 0;
  const uint32_t bits = logit == 0 ? 0 : __float_as_uint(logit);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Key and class of the first largest logit, as key << 32 | ~class; 0 if all are NaN.
template <int V>
__device__ Amount first_largest(const Dense& logits, int64_t row, int classes) {
  // Vectors that a thread has on their way at once: a block has the row for itself.
  constexpr int kBatch = 4;
  // Of this thread. A NaN is not above anything.
  float largest = -INFINITY;
  int first = classes;
  const int step = static_cast<int>(blockDim.x) * V;
  for (int begin = static_cast<int>(threadIdx.x) * V; begin < classes; begin += kBatch * step) {
    Fetched<V> batch[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      // Beyond the end, the first again, which is not above itself.
      const int i = begin + b * step;
      batch[b] = Fetched<V>(logits, row * classes + (i < classes ? i : begin));
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      float values[V];
      batch[b].decode(values);
#pragma unroll
      for (int j = 0; j < V; ++j) {
        if (values[j] > largest) {
          largest = values[j];
          first = begin + b * step + j;
        }
      }
    }
  }
  // Where nothing is above it, -infinity counts.
  for (int begin = static_cast<int>(threadIdx.x) * V; first == classes && begin < classes; begin += step) {
    float values[V];
    load<V>(logits, row * classes + begin, values);
#pragma unroll
    for (int j = V - 1; j >= 0; --j) {
      if (values[j] == -INFINITY) first = begin + j;
    }
  }
  const uint32_t key = first < classes ? order_key(largest) : 0;
  const Amount own = key ? Amount{key} << 32 | ~static_cast<uint32_t>(first) : 0;
  return block_reduce(own, Amount{0}, [](Amount a, Amount b) { return max(a, b); });
}

__device__ int class_of(Amount largest) {
  return largest ? static_cast<int>(~static_cast<uint32_t>(largest)) : 0;
}

template <int V>
__global__ void __launch_bounds__(kMaxThreads) argmax_kernel(Dense logits, int classes, int32_t* out) {
  await_dependency();
  const Amount largest = first_largest<V>(logits, blockIdx.x, classes);
  if (threadIdx.x == 0) out[blockIdx.x] = class_of(largest);
}

// What is left to choose from: the classes of a list, in ascending order, whose key is above `key`, or equal
// to it and no later in the list than `last`.
struct Candidates {
  const float* weights;
  const uint32_t* keys;
  const int32_t* classes;
  int count;
  float mass_scale;
  uint32_t key = 0;
  int last = 0;

  __device__ uint32_t key_of(int i) const { return keys[classes[i]]; }
  __device__ bool holds(int i) const { return key_of(i) > key || (key_of(i) == key && i <= last); }
  __device__ Amount mass_of(int i) const { return __float2ull_rn(weights[classes[i]] * mass_scale); }
  __device__ Amount held_mass(int i) const { return holds(i) ? mass_of(i) : 0; }

  // Keeps the first, by logit and then by class, whose amount(i) add up to `wanted`, which the sum over all
  // reaches.
  template <typename Function>
  __device__ void narrow(Amount wanted, Function amount) {
    // The largest key so that what is not below it adds up to `wanted`.
    uint32_t edge = 0;
    for (int bit = kKeyBits - 1; bit >= 0; --bit) {
      const uint32_t tried = edge | 1u << bit;
      const auto not_below = [&](int i) { return holds(i) && key_of(i) >= tried ? amount(i) : Amount{0}; };
      if (block_total(count, not_below) >= wanted) edge = tried;
    }
    const auto above = [&](int i) { return holds(i) && key_of(i) > edge ? amount(i) : Amount{0}; };
    const auto at_edge = [&](int i) { return holds(i) && key_of(i) == edge ? amount(i) : Amount{0}; };
    const Amount missing = wanted - block_total(count, above);
    const int end = find_exceeding(count, missing - 1, at_edge);
    key = edge;
    last = end;
  }
};

// Weights, and keys where they are wanted, of the classes of a row; the sum of the weights.
template <int V>
__device__ Amount weigh(const Sampling& p, int64_t row, float largest, float* weights, uint32_t* keys,
                        int* bins) {
  Amount mass = 0;
  for (int64_t i = int64_t{threadIdx.x} * V; i < p.classes; i += int64_t{blockDim.x} * V) {
    float values[V];
    load<V>(p.logits, row * p.classes + i, values);
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const float logit = values[j];
      if (keys) {
        const uint32_t key = order_key(logit);
        keys[i + j] = key;
        if (p.top_k && key) atomicAdd(&bins[key >> (kKeyBits - kBinBits)], 1);
      }
      // The comparison keeps infinity minus infinity out.
      const float weight =
          logit == largest ? 1.0f
                           : static_cast<float>(exp(static_cast<double>((logit - largest) / p.temperature)));
      values[j] = isnan(logit) ? 0.0f : weight;
      mass += __float2ull_rn(values[j] * p.mass_scale);
    }
    store<V>(values, weights + i);
  }
  return block_reduce(mass, Amount{0}, add_amounts);
}

// The lowest key that the top_k largest logits can have, from the bins.
__device__ uint32_t lowest_key(const int* bins, int top_k) {
  const int end = find_exceeding(kBins, static_cast<Amount>(top_k) - 1,
                                 [&](int i) { return static_cast<Amount>(bins[kBins - 1 - i]); });
  return end < kBins ? static_cast<uint32_t>(kBins - 1 - end) << (kKeyBits - kBinBits) : 0;
}

// floor(u * mass) for the u in [0, 1) that the upper 24 bits stand for.
__device__ Amount fraction_of(Amount mass, uint32_t bits) {
  const Amount u = bits >> 8;
  return __umul64hi(mass, u) << 40 | (mass * u) >> 24;
}

// The place in the list of the first candidate at which the weights so far exceed the fraction of their sum.
__device__ int choose(const Sampling& p, Candidates& candidates, Amount mass_of_all, uint32_t bits) {
  const auto held_mass = [&](int i) { return candidates.held_mass(i); };
  if (p.top_k && p.top_k < candidates.count) {
    candidates.narrow(static_cast<Amount>(p.top_k), [](int) { return Amount{1}; });
  }
  Amount mass = p.top_k ? block_total(candidates.count, held_mass) : mass_of_all;
  if (p.top_p < 1) {
    const auto wanted = static_cast<Amount>(ceil(static_cast<double>(p.top_p) * static_cast<double>(mass)));
    candidates.narrow(max(Amount{1}, min(wanted, mass)), [&](int i) { return candidates.mass_of(i); });
    mass = block_total(candidates.count, held_mass);
  }
  return find_exceeding(candidates.count, fraction_of(mass, bits), held_mass);
}

template <int V>
__global__ void __launch_bounds__(kMaxThreads, 1) sample_kernel(Sampling p) {
  __shared__ int bins[kBins];
  await_dependency();
  const int64_t slot = int64_t{blockIdx.x} * p.classes;
  float* weights = p.weights + slot;
  uint32_t* keys = p.keys ? p.keys + slot : nullptr;
  for (int64_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
    const Amount first = first_largest<V>(p.logits, row, p.classes);
    if (!first) {
      if (threadIdx.x == 0) p.out[row] = 0;
      continue;
    }
    if (p.top_k) {
      for (int i = threadIdx.x; i < kBins; i += blockDim.x) bins[i] = 0;
      __syncthreads();
    }
    const float largest = load_element(p.logits, row * p.classes + class_of(first));
    const Amount mass = weigh<V>(p, row, largest, weights, keys, bins);
    const uint32_t bits =
        philox(p.seed, {static_cast<uint32_t>(p.counters[row]), static_cast<uint32_t>(row), 0, 0})[0];
    int chosen;
    if (!keys) {
      chosen = find_exceeding(p.classes, fraction_of(mass, bits),
                              [&](int i) { return __float2ull_rn(weights[i] * p.mass_scale); });
    } else {
      // Searches go through few classes: what is below these bounds cannot be among the top_k, or among those
      // that hold top_p of the mass (the rest, were they all this light, would hold less than 1 - top_p).
      const uint32_t lightest_key = p.top_k ? lowest_key(bins, p.top_k) : 0;
      const double spare = p.top_k ? 0.0 : (1.0 - p.top_p) * static_cast<double>(mass) / p.classes;
      const Amount lightest = max(Amount{1}, static_cast<Amount>(0.999 * spare));
      int32_t* list = p.classes_left + slot;
      const int count = collect(p.classes, list, [&](int i) {
        return keys[i] >= lightest_key && __float2ull_rn(weights[i] * p.mass_scale) >= lightest;
      });
      Candidates candidates{weights, keys, list, count, p.mass_scale};
      chosen = list[choose(p, candidates, mass, bits)];
    }
    if (threadIdx.x == 0) p.out[row] = chosen;
    __syncthreads();  // the scratch memory is written for the next row
  }
}

}  // namespace

void sample(Stream stream, Tensor logits, Tensor counters, const qutlass_sampling& sampling, Tensor out) {
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const bool vectors = rows_are_vectors(logits, classes);
  const int threads = block_threads(vectors ? classes / kVector : classes, kMaxThreads);
  if (sampling.temperature == 0) {
    const auto kernel = vectors ? argmax_kernel<kVector> : argmax_kernel<1>;
    run_dependent(stream, "sample", {logits.data, counters.data, out.data}, kernel,
                  {static_cast<unsigned>(rows), static_cast<unsigned>(threads)}, dense(logits),
                  static_cast<int>(classes), static_cast<int32_t*>(out.data));
    return;
  }
  const int top_k = sampling.top_k < classes ? sampling.top_k : 0;
  const bool narrowed = top_k != 0 || sampling.top_p < 1;
  const int64_t blocks =
      std::min<int64_t>(rows, cuda_stream(stream).cuda_device().properties().multiProcessorCount);
  const int64_t places = blocks * classes;
  const DeviceScratch scratch(stream.device,
                              static_cast<size_t>(places) * (narrowed ? 3 : 1) * sizeof(float));
  const int unit_bits = 62 - std::bit_width(static_cast<uint64_t>(classes));
  const Sampling p{.logits = dense(logits),
                   .counters = static_cast<const int32_t*>(counters.data),
                   .out = static_cast<int32_t*>(out.data),
                   .rows = rows,
                   .classes = static_cast<int>(classes),
                   .temperature = sampling.temperature,
                   .top_k = top_k,
                   .top_p = sampling.top_p,
                   .seed = sampling.seed,
                   .mass_scale = static_cast<float>(int64_t{1} << unit_bits),
                   .weights = scratch.as<float>(),
                   .keys = narrowed ? scratch.as<uint32_t>() + places : nullptr,
                   .classes_left = narrowed ? scratch.as<int32_t>() + 2 * places : nullptr};
  const auto kernel = vectors ? sample_kernel<kVector> : sample_kernel<1>;
  run_dependent(stream, "sample", {logits.data, counters.data, out.data, scratch.as<void>()}, kernel,
                {static_cast<unsigned>(blocks), static_cast<unsigned>(threads)}, p);
}

}  // namespace qutlass::cuda
