import { attention, type FloatDType, kvAppend, rope, type Tensor } from '@qutlass/core-kernels';
import type { KVCache } from './kv-cache.js';
import type { LinearModule } from './linear.js';
import { Module } from './module.js';

export interface AttentionOptions {
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Of this layer in the cache. */
  index: number;
  qProj: LinearModule;
  kProj: LinearModule;
  vProj: LinearModule;
  oProj: LinearModule;
}

/** Where the tokens of a forward pass stand. */
export interface AttentionContext {
  /** [M] */
  positions: Tensor<'i32'>;
  /** [headDim / 2] */
  inverseFrequencies: Tensor<'f32'>;
  cache: KVCache;
}

/** Causal grouped-query attention with rotary embedding and a cache. */
export class Attention extends Module {
  readonly #heads: number;
  readonly #kvHeads: number;
  readonly #headDim: number;
  readonly #index: number;

  constructor({ heads, kvHeads, headDim, index, qProj, kProj, vProj, oProj }: AttentionOptions) {
    super();
    this.#heads = heads;
    this.#kvHeads = kvHeads;
    this.#headDim = headDim;
    this.#index = index;
    this.addChild('q_proj', qProj);
    this.addChild('k_proj', kProj);
    this.addChild('v_proj', vProj);
    this.addChild('o_proj', oProj);
  }

  /** x [M, hidden] to [M, hidden]. Appends keys and values to the cache. */
  forward<D extends FloatDType>(
    x: Tensor<D>,
    { positions, inverseFrequencies, cache }: AttentionContext,
  ): Tensor<D> {
    const { keys, values } = cache.layer(this.#index);
    using q = this.#project('q_proj', x, this.#heads);
    using k = this.#project('k_proj', x, this.#kvHeads);
    using v = this.#project('v_proj', x, this.#kvHeads);
    rope(q, positions, inverseFrequencies);
    rope(k, positions, inverseFrequencies);
    kvAppend(k, positions, keys);
    kvAppend(v, positions, values);
    using heads = attention(q, keys, values, positions, this.#headDim ** -0.5);
    using mixed = heads.reshape([x.shape[0] ?? 1, this.#heads * this.#headDim]);
    return this.#linear('o_proj').forward(mixed);
  }

  #linear(name: string): LinearModule {
    return this.child(name) as LinearModule;
  }

  #project<D extends FloatDType>(name: string, x: Tensor<D>, heads: number): Tensor<D> {
    using flat = this.#linear(name).forward(x);
    return flat.reshape([x.shape[0] ?? 1, heads, this.#headDim]);
  }
}
