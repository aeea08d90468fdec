// Causal grouped-query attention over a key-value cache, in one pass: softmax(scale * q k^T) v with a running
// maximum, as in FlashAttention, https://arxiv.org/abs/2205.14135.
#include "attention.h"

#include <cmath>
#include <limits>

#include "check.h"
#include "cpu/attend.h"
#include "dense_rows.h"
#include "device.h"
#include "memory.h"

namespace qutlass {
namespace {

// Cache rows taken at a time. Tiles start at multiples of it, whatever queries share them.
constexpr int64_t kTile = 64;
// Query rows that share one decoded tile.
constexpr int64_t kMaxBlock = 32;
// Multiplications of a piece that takes longer than handing it to another thread.
constexpr int64_t kWorkPerPiece = 1 << 16;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Rows of one head of the cache as float32, `stride` apart.
struct Tile {
  const float* rows;
  int64_t stride;
};

Tile load_tile(const qutlass_tensor& cache, int64_t first, int64_t count, int64_t head, float* buffer) {
  const int64_t heads = cache.shape[1];
  const int64_t head_dim = cache.shape[2];
  const int64_t stride = heads * head_dim;
  const int64_t offset = first * stride + head * head_dim;
  if (cache.dtype == QUTLASS_F32) return {static_cast<const float*>(cache.data) + offset, stride};
  for (int64_t t = 0; t < count; ++t) load_row(cache, offset + t * stride, head_dim, buffer + t * head_dim);
  return {buffer, head_dim};
}

// One query head on its way through the cache.
struct QueryRow {
  int64_t offset;   // of the head in q and out
  int64_t visible;  // cache rows that it sees
  const float* query;
  float* sum;  // of weights times values
  float largest = -kInfinity;
  float weight = 0;

  // The next `count` cache rows.
  void attend(const AttendLoops& loops, const Tile& keys, const Tile& values, int64_t count, int64_t head_dim,
              float scale) {
    float scores[kTile];
    float tile_largest = largest;
    loops.score(query, keys.rows, keys.stride, count, head_dim, scale, scores);
    for (int64_t t = 0; t < count; ++t) tile_largest = std::max(tile_largest, scores[t]);
    // While every score is -infinity the shift is 0, which keeps their weights 0 and not NaN.
    const float shift = tile_largest == -kInfinity ? 0.0f : tile_largest;
    if (tile_largest > largest) {
      const float factor = std::exp(largest - shift);
      for (int64_t i = 0; i < head_dim; ++i) sum[i] *= factor;
      weight *= factor;
      largest = tile_largest;
    }
    weight += loops.exponentiate(scores, count, shift);
    loops.add_weighted(scores, values.rows, values.stride, count, head_dim, sum);
  }
};

class Attention {
 public:
  Attention(const qutlass_tensor& q, const qutlass_tensor& k_cache, const qutlass_tensor& v_cache,
            const qutlass_tensor& positions, float scale, const qutlass_tensor& out)
      : q_(q),
        k_cache_(k_cache),
        v_cache_(v_cache),
        positions_(static_cast<const int32_t*>(positions.data)),
        scale_(scale),
        out_(out),
        kv_heads_(k_cache.shape[1]),
        head_dim_(k_cache.shape[2]),
        group_(q.shape[1] / kv_heads_) {}

  void run(Context& context) const {
    // The query heads of all tokens that read the same head of the cache are the rows of a matrix, cut into
    // blocks. With few of them, as for a single token, blocks shrink until every thread has one.
    const int64_t rows = q_.shape[0] * group_;
    const int64_t per_thread = (rows * kv_heads_ + context.threads.threads() - 1) / context.threads.threads();
    const int64_t block = std::min({rows, per_thread, kMaxBlock});
    const int64_t blocks = (rows + block - 1) / block;
    const int64_t pieces = blocks * kv_heads_;
    const int64_t grain = std::max<int64_t>(1, kWorkPerPiece / (work() / pieces + 1));
    context.threads.parallel_for(pieces, grain, [&](int64_t begin, int64_t end) {
      Scratch scratch(context.memory, static_cast<size_t>(2 * (kTile + block) * head_dim_) * sizeof(float));
      for (int64_t piece = begin; piece < end; ++piece) {
        // Late tokens see more of the cache: starting with them leaves short blocks to even out the threads.
        const int64_t first = (blocks - 1 - piece / kv_heads_) * block;
        attend_block(first, std::min(block, rows - first), piece % kv_heads_, scratch.as<float>());
      }
    });
  }

 private:
  int64_t visible(int64_t token) const {
    return std::min<int64_t>(int64_t{positions_[token]} + 1, k_cache_.shape[0]);
  }

  // Multiplications in all.
  int64_t work() const {
    int64_t seen = 0;
    for (int64_t m = 0; m < q_.shape[0]; ++m) seen += std::max<int64_t>(visible(m), 0);
    return seen * 2 * q_.shape[1] * head_dim_;
  }

  void attend_block(int64_t first, int64_t count, int64_t kv_head, float* buffer) const {
    float* key_buffer = buffer;
    float* value_buffer = key_buffer + kTile * head_dim_;
    float* next = value_buffer + kTile * head_dim_;
    QueryRow rows[kMaxBlock];
    int64_t deepest = 0;
    for (int64_t r = 0; r < count; ++r) {
      const int64_t token = (first + r) / group_;
      const int64_t head = kv_head * group_ + (first + r) % group_;
      const int64_t offset = (token * q_.shape[1] + head) * head_dim_;
      const float* query = load_row(q_, offset, head_dim_, next);
      float* sum = next + head_dim_;
      std::fill_n(sum, head_dim_, 0.0f);
      rows[r] = {.offset = offset, .visible = visible(token), .query = query, .sum = sum};
      deepest = std::max(deepest, rows[r].visible);
      next += 2 * head_dim_;
    }
    for (int64_t start = 0; start < deepest; start += kTile) {
      const int64_t length = std::min(kTile, deepest - start);
      const Tile keys = load_tile(k_cache_, start, length, kv_head, key_buffer);
      const Tile values = load_tile(v_cache_, start, length, kv_head, value_buffer);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t seen = std::min(length, rows[r].visible - start);
        if (seen > 0) rows[r].attend(loops_, keys, values, seen, head_dim_, scale_);
      }
    }
    for (int64_t r = 0; r < count; ++r) finish(rows[r]);
  }

  void finish(const QueryRow& row) const {
    if (row.visible > 0) {
      for (int64_t i = 0; i < head_dim_; ++i) row.sum[i] /= row.weight;
    }
    store_row(row.sum, out_, row.offset, head_dim_);
  }

  const AttendLoops& loops_ = attend_loops();
  qutlass_tensor q_;
  qutlass_tensor k_cache_;
  qutlass_tensor v_cache_;
  const int32_t* positions_;
  float scale_;
  qutlass_tensor out_;
  int64_t kv_heads_;
  int64_t head_dim_;
  int64_t group_;
};

}  // namespace

void require_attention(const qutlass_tensor* q, const qutlass_tensor* k_cache, const qutlass_tensor* v_cache,
                       const qutlass_tensor* positions, float scale, const qutlass_tensor* out) {
  require_float_tensor("q", q, 3);
  const int64_t tokens = q->shape[0], heads = q->shape[1], head_dim = q->shape[2];
  require_float_tensor("k_cache", k_cache, 3);
  const int64_t capacity = k_cache->shape[0], kv_heads = k_cache->shape[1];
  require_shape("k_cache", *k_cache, {capacity, kv_heads, head_dim});
  if (heads % kv_heads != 0) {
    fail(QUTLASS_E_SHAPE, "k_cache: expected a number of heads that divides the %lld of q, got %lld",
         static_cast<long long>(heads), static_cast<long long>(kv_heads));
  }
  require_float_tensor("v_cache", v_cache, 3);
  require_shape("v_cache", *v_cache, {capacity, kv_heads, head_dim});
  require_tensor("positions", positions, 1, {QUTLASS_I32});
  require_shape("positions", *positions, {tokens});
  if (!std::isfinite(scale)) {
    fail(QUTLASS_E_ARGUMENT, "scale: expected a finite number, got %g", static_cast<double>(scale));
  }
  require_float_tensor("out", out, 3);
  require_shape("out", *out, {tokens, heads, head_dim});
}

void attention(Context& context, const qutlass_tensor& q, const qutlass_tensor& k_cache,
               const qutlass_tensor& v_cache, const qutlass_tensor& positions, float scale,
               const qutlass_tensor& out) {
  Attention(q, k_cache, v_cache, positions, scale, out).run(context);
}

}  // namespace qutlass

// A position past the cache sees all of it; one below 0 sees nothing and gives zeros. out may be q itself: a
// head is read before it is written, by the same thread.
extern "C" qutlass_status qutlass_attention(qutlass_stream* stream, const qutlass_tensor* q,
                                            const qutlass_tensor* k_cache, const qutlass_tensor* v_cache,
                                            const qutlass_tensor* positions, float scale,
                                            const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_attention(q, k_cache, v_cache, positions, scale, out);
    if (const auto* gpu = stream->device.operations)
      return gpu->attention(*stream, *q, *k_cache, *v_cache, *positions, scale, *out);
    stream->launch(
        {q->data, k_cache->data, v_cache->data, positions->data, out->data},
        [q = *q, k_cache = *k_cache, v_cache = *v_cache, positions = *positions, scale,
         out = *out](Context& context) { attention(context, q, k_cache, v_cache, positions, scale, out); });
  });
}
