// What a layer does with its projections in one step: rotary embedding, cache, attention.
#include "attention.h"
#include "check.h"
#include "rope_append.h"

extern "C" qutlass_status qutlass_rope_attention(qutlass_stream* stream, const qutlass_tensor* q,
                                                 const qutlass_tensor* k, const qutlass_tensor* v,
                                                 const qutlass_tensor* positions,
                                                 const qutlass_tensor* inv_freq,
                                                 const qutlass_tensor* k_cache, const qutlass_tensor* v_cache,
                                                 float scale, const qutlass_tensor* out) {
  using namespace qutlass;
  return guarded([&] {
    require_stream(stream);
    require_rope_append(q, k, v, positions, inv_freq, k_cache, v_cache);
    require_attention(q, k_cache, v_cache, positions, scale, out);
    if (const auto* gpu = stream->device.operations) {
      return gpu->rope_attention(*stream, *q, *k, *v, *positions, *inv_freq, *k_cache, *v_cache, scale, *out);
    }
    stream->launch(
        {q->data, k->data, v->data, positions->data, inv_freq->data, k_cache->data, v_cache->data, out->data},
        [q = *q, k = *k, v = *v, positions = *positions, inv_freq = *inv_freq, k_cache = *k_cache,
         v_cache = *v_cache, scale, out = *out](Context& context) {
          rope_append(context, q, k, v, positions, inv_freq, k_cache, v_cache);
          attention(context, q, k_cache, v_cache, positions, scale, out);
        });
  });
}
