#include "rope_append.h"

#include "check.h"
#include "kv_cache.h"
#include "rope.h"

namespace qutlass {

void require_rope_append(const qutlass_tensor* q, const qutlass_tensor* k, const qutlass_tensor* v,
                         const qutlass_tensor* positions, const qutlass_tensor* inv_freq,
                         const qutlass_tensor* k_cache, const qutlass_tensor* v_cache) {
  require_rope("q", q, positions, inv_freq);
  require_rope("k", k, positions, inv_freq);
  require_kv_append("k", k, positions, "k_cache", k_cache);
  require_float_tensor("v", v, 3);
  require_shape("v", *v, {k->shape[0], k->shape[1], k->shape[2]});
  require_kv_append("v", v, positions, "v_cache", v_cache);
  require_shape("v_cache", *v_cache, {k_cache->shape[0], k->shape[1], k->shape[2]});
}

void rope_append(Context& context, const qutlass_tensor& q, const qutlass_tensor& k, const qutlass_tensor& v,
                 const qutlass_tensor& positions, const qutlass_tensor& inv_freq,
                 const qutlass_tensor& k_cache, const qutlass_tensor& v_cache) {
  rope(context, q, positions, inv_freq);
  rope(context, k, positions, inv_freq);
  kv_append(context, k, positions, k_cache);
  kv_append(context, v, positions, v_cache);
}

}  // namespace qutlass

extern "C" qutlass_status qutlass_rope_append(qutlass_stream* stream, const qutlass_tensor* q,
                                              const qutlass_tensor* k, const qutlass_tensor* v,
                                              const qutlass_tensor* positions, const qutlass_tensor* inv_freq,
                                              const qutlass_tensor* k_cache, const qutlass_tensor* v_cache) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_rope_append(q, k, v, positions, inv_freq, k_cache, v_cache);
    if (const auto* gpu = stream->device.operations)
      return gpu->rope_append(*stream, *q, *k, *v, *positions, *inv_freq, *k_cache, *v_cache);
    stream->launch({q->data, k->data, v->data, positions->data, inv_freq->data, k_cache->data, v_cache->data},
                   [q = *q, k = *k, v = *v, positions = *positions, inv_freq = *inv_freq, k_cache = *k_cache,
                    v_cache = *v_cache](Context& context) {
                     rope_append(context, q, k, v, positions, inv_freq, k_cache, v_cache);
                   });
  });
}
