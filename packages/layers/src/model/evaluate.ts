import { crossEntropy, invalidArgument, Tensor } from '@qutlass/core-kernels';
import type { KVCache } from '../modules/kv-cache.js';
import type { Llama } from './llama.js';
import { requireTokenIds } from './token-ids.js';

export interface EvaluateOptions {
  /** Tokens that see each other; default 512, or the context of the model if that is shorter. */
  window?: number;
  signal?: AbortSignal;
  /** Called after each window. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

export interface Evaluation {
  /** Mean over all tokens, in nats. */
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  readonly seconds: number;
}

/**
 * The loss of a model on a text, in consecutive windows that each start without context: every input predicts the token
 * after it, the last one of a window the first of the next.
 * @throws QutlassError `QUTLASS_E_ARGUMENT`; the reason of the signal
 */
export async function evaluate(
  model: Llama,
  ids: ArrayLike<number>,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { maxPositionEmbeddings: context, vocabSize } = model.config;
  const { window = Math.min(512, context), signal, onProgress } = options;
  if (ids.length < 2)
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'ids', 'at least 2 tokens', String(ids.length));
  requireTokenIds('ids', ids, vocabSize);
  if (!Number.isInteger(window) || window < 1 || window > context) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'window', `1 to ${context}`, String(window));
  }
  const tokens = Int32Array.from(ids);
  const total = tokens.length - 1;
  using cache = model.createCache(Math.min(window, total));
  const start = performance.now();
  let sum = 0;
  for (let begin = 0; begin < total; begin += window) {
    signal?.throwIfAborted();
    const end = Math.min(begin + window, total);
    cache.clear();
    for (const loss of await windowLosses(model, tokens, begin, end, cache)) sum += loss;
    onProgress?.({ done: end, total });
  }
  const loss = sum / total;
  return { loss, perplexity: Math.exp(loss), tokens: total, seconds: (performance.now() - start) / 1000 };
}

/** Losses in nats of the tokens after the inputs [begin, end). */
function windowLosses(
  model: Llama,
  ids: Int32Array,
  begin: number,
  end: number,
  cache: KVCache,
): Promise<Float32Array> {
  const upload = (data: Int32Array) =>
    Tensor.from(data, { shape: [data.length], dtype: 'i32', device: model.device });
  using inputs = upload(ids.subarray(begin, end));
  using targets = upload(ids.subarray(begin + 1, end + 1));
  using logits = model.forward(inputs, { cache });
  using losses = crossEntropy(logits, targets);
  // The read is enqueued before the tensors are freed, and memory is freed in order.
  return losses.toArray();
}
