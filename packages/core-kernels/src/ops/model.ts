import type { FloatDType } from '../dtype.js';
import { loadBinding } from '../loader.js';
import { produce, requireSameDevice, type Tensor } from '../tensor.js';

// The operations of a transformer besides matrix multiplication. Arithmetic is float32, rounded once on the way out.

/** Rows of a table [V, C]: ids [M] -> [M, C]. An id outside of the table gives NaN. */
export function embedding<D extends FloatDType>(
  ids: Tensor<'i32'>,
  table: Tensor<FloatDType>,
  dtype: D,
): Tensor<D> {
  requireSameDevice(ids, table);
  const shape = [ids.size, table.shape[1] ?? 1];
  return produce(shape, dtype, ids.device, (native, stream, out) =>
    native.embedding(stream, ids.handle, table.handle, out),
  );
}

/**
 * x * rsqrt(mean(x^2) + eps) * weight over the last dimension of x [M, C]. `residual` is added to x first, and the sum
 * written back into it.
 */
export function rmsNorm<D extends FloatDType>(
  x: Tensor<D>,
  weight: Tensor<FloatDType>,
  eps: number,
  residual?: Tensor<FloatDType>,
): Tensor<D> {
  requireSameDevice(x, weight, residual);
  return produce(x.shape, x.dtype, x.device, (native, stream, out) =>
    native.rmsNorm(stream, x.handle, residual?.handle ?? null, weight.handle, eps, out),
  );
}

/**
 * Rotary position embedding in place, in the half-split convention of Hugging Face: x [M, heads, headDim], positions [M],
 * inverseFrequencies [headDim / 2].
 */
export function rope(
  x: Tensor<FloatDType>,
  positions: Tensor<'i32'>,
  inverseFrequencies: Tensor<'f32'>,
): void {
  requireSameDevice(x, positions, inverseFrequencies);
  loadBinding().rope(x.device.stream.handle, x.handle, positions.handle, inverseFrequencies.handle);
}

/** cache[positions[m]] = x[m]: x [M, kvHeads, headDim], cache [capacity, kvHeads, headDim]. */
export function kvAppend(x: Tensor<FloatDType>, positions: Tensor<'i32'>, cache: Tensor<FloatDType>): void {
  requireSameDevice(x, positions, cache);
  loadBinding().kvAppend(x.device.stream.handle, x.handle, positions.handle, cache.handle);
}

/**
 * What comes between projections and attention, in one launch: {@link rope} of q [M, heads, headDim] and of k
 * [M, kvHeads, headDim], then {@link kvAppend} of k and v.
 */
export function ropeAppend(
  q: Tensor<FloatDType>,
  k: Tensor<FloatDType>,
  v: Tensor<FloatDType>,
  positions: Tensor<'i32'>,
  inverseFrequencies: Tensor<'f32'>,
  kCache: Tensor<FloatDType>,
  vCache: Tensor<FloatDType>,
): void {
  requireSameDevice(q, k, v, positions, inverseFrequencies, kCache, vCache);
  loadBinding().ropeAppend(
    q.device.stream.handle,
    q.handle,
    k.handle,
    v.handle,
    positions.handle,
    inverseFrequencies.handle,
    kCache.handle,
    vCache.handle,
  );
}

/**
 * Causal grouped-query attention of q [M, heads, headDim] over caches [capacity, kvHeads, headDim]: row m sees the cache
 * rows 0..positions[m]. Returns [M, heads, headDim].
 */
export function attention<D extends FloatDType>(
  q: Tensor<D>,
  kCache: Tensor<FloatDType>,
  vCache: Tensor<FloatDType>,
  positions: Tensor<'i32'>,
  scale: number,
): Tensor<D> {
  requireSameDevice(q, kCache, vCache, positions);
  return produce(q.shape, q.dtype, q.device, (native, stream, out) =>
    native.attention(stream, q.handle, kCache.handle, vCache.handle, positions.handle, scale, out),
  );
}

/** {@link ropeAppend}, then {@link attention} of q; in one launch for one token on some GPUs. Returns [M, heads, headDim]. */
export function ropeAttention<D extends FloatDType>(
  q: Tensor<D>,
  k: Tensor<FloatDType>,
  v: Tensor<FloatDType>,
  positions: Tensor<'i32'>,
  inverseFrequencies: Tensor<'f32'>,
  kCache: Tensor<FloatDType>,
  vCache: Tensor<FloatDType>,
  scale: number,
): Tensor<D> {
  requireSameDevice(q, k, v, positions, inverseFrequencies, kCache, vCache);
  return produce(q.shape, q.dtype, q.device, (native, stream, out) =>
    native.ropeAttention(
      stream,
      q.handle,
      k.handle,
      v.handle,
      positions.handle,
      inverseFrequencies.handle,
      kCache.handle,
      vCache.handle,
      scale,
      out,
    ),
  );
}

/** silu(gate) * up, element by element. */
export function siluMul<D extends FloatDType>(gate: Tensor<D>, up: Tensor<FloatDType>): Tensor<D> {
  requireSameDevice(gate, up);
  return produce(gate.shape, gate.dtype, gate.device, (native, stream, out) =>
    native.siluMul(stream, gate.handle, up.handle, out),
  );
}

/** a + scale * b, element by element. */
export function add<D extends FloatDType>(a: Tensor<D>, b: Tensor<FloatDType>, scale = 1): Tensor<D> {
  requireSameDevice(a, b);
  return produce(a.shape, a.dtype, a.device, (native, stream, out) =>
    native.add(stream, a.handle, b.handle, scale, out),
  );
}

export interface SamplingOptions {
  /** 0 (the default) takes the largest logit. */
  temperature?: number;
  /** Sample among the k largest; 0 (the default) for all. */
  topK?: number;
  /** Sample among the smallest set with this probability mass; default 1. */
  topP?: number;
  /** With the counters, decides every draw; default 0. */
  seed?: number;
}

/** One token per row of logits [M, V]; row m draws with counters[m], so a seed repeats a text. Returns ids [M]. */
export function sample(
  logits: Tensor<FloatDType>,
  counters: Tensor<'i32'>,
  { temperature = 0, topK = 0, topP = 1, seed = 0 }: SamplingOptions = {},
): Tensor<'i32'> {
  requireSameDevice(logits, counters);
  return produce([logits.shape[0] ?? 1], 'i32', logits.device, (native, stream, out) =>
    native.sample(stream, logits.handle, counters.handle, temperature, topK, topP, seed, out),
  );
}

/** Losses in nats, [M]: logsumexp(logits[m]) - logits[m][targets[m]], logits [M, V], targets [M]. */
export function crossEntropy(logits: Tensor<FloatDType>, targets: Tensor<'i32'>): Tensor<'f32'> {
  requireSameDevice(logits, targets);
  return produce([logits.shape[0] ?? 1], 'f32', logits.device, (native, stream, out) =>
    native.crossEntropy(stream, logits.handle, targets.handle, out),
  );
}
