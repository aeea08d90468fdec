import { type FloatDType, ropeAttention, scope, type Tensor } from '@qutlass/core-kernels';
import type { Deferred } from './deferred.js';
import type { KVCache } from './kv-cache.js';
import { LinearModule } from './linear.js';
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
    x: Tensor<D> | Deferred<D>,
    { positions, inverseFrequencies, cache }: AttentionContext,
  ): Tensor<D> {
    const { keys, values } = cache.layer(this.#index);
    const tokens = x.shape[0] ?? 1;
    return scope(() => {
      const projections = ['q_proj', 'k_proj', 'v_proj'].map((name) => this.#linear(name));
      const [query, key, value] = LinearModule.forwardGroup(projections, x);
      const q = query!.reshape([tokens, this.#heads, this.#headDim]);
      const k = key!.reshape([tokens, this.#kvHeads, this.#headDim]);
      const v = value!.reshape([tokens, this.#kvHeads, this.#headDim]);
      const scale = this.#headDim ** -0.5;
      const heads = ropeAttention(q, k, v, positions, inverseFrequencies, keys, values, scale);
      return this.#linear('o_proj').forward(heads.reshape([tokens, this.#heads * this.#headDim]));
    });
  }

  #linear(name: string): LinearModule {
    return this.child(name) as LinearModule;
  }
}
