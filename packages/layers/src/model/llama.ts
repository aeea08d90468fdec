import {
  type Device,
  type FloatDType,
  invalidArgument,
  type Resource,
  sliceRows,
  Tensor,
} from '@qutlass/core-kernels';
import type { LlamaConfig } from '../checkpoint/config.js';
import { ropeInverseFrequencies } from '../checkpoint/rope.js';
import type { Tokenizer } from '../checkpoint/tokenizer.js';
import type { DecoderLayer } from '../modules/decoder-layer.js';
import type { Embedding } from '../modules/embedding.js';
import { KVCache } from '../modules/kv-cache.js';
import type { LinearModule } from '../modules/linear.js';
import { Module } from '../modules/module.js';
import type { RMSNorm } from '../modules/rms-norm.js';
import { type GeneratedToken, type GenerateOptions, generate } from './generate.js';
import { type LoadOptions, loadLlama } from './load.js';

export interface LlamaParts {
  embedTokens: Embedding;
  layers: readonly DecoderLayer[];
  norm: RMSNorm;
  lmHead: LinearModule;
}

export interface LlamaOptions {
  /** What activations are kept in. */
  dtype: FloatDType;
  device: Device;
  tokenizer?: Tokenizer | undefined;
  source?: string | undefined;
}

export interface ForwardOptions {
  /** Keys and values so far; the tokens are appended. */
  cache: KVCache;
  /**
   * Positions of the tokens [M], on the device, below the capacity of the cache; its length then stays the caller's to
   * advance. Default: those after the tokens in the cache.
   */
  positions?: Tensor<'i32'>;
  /** Compute the logits of the last token only. Default false. */
  lastOnly?: boolean;
}

/** A Llama decoder (Touvron et al. 2023), built from a Hugging Face checkpoint. */
export class Llama extends Module {
  readonly config: LlamaConfig;
  /** What activations are kept in between the layers. */
  readonly dtype: FloatDType;
  readonly tokenizer: Tokenizer | undefined;
  /** The directory that it was loaded from. */
  readonly source: string | undefined;
  #inverseFrequencies: Tensor<'f32'>;

  /** Takes over the parts. {@link Llama.load} reads a checkpoint. */
  constructor(config: LlamaConfig, parts: LlamaParts, options: LlamaOptions) {
    const frequencies = inverseFrequencies(config, options.device);
    super();
    this.config = config;
    this.dtype = options.dtype;
    this.tokenizer = options.tokenizer;
    this.source = options.source;
    this.addChild('model.embed_tokens', parts.embedTokens);
    for (const [index, layer] of parts.layers.entries()) this.addChild(`model.layers.${index}`, layer);
    this.addChild('model.norm', parts.norm);
    this.addChild('lm_head', parts.lmHead);
    this.#inverseFrequencies = frequencies;
  }

  /** Where the model is; see {@link Module.to}. */
  get device(): Device {
    return this.#inverseFrequencies.device;
  }

  /**
   * Reads a model directory: `config.json`, weights in safetensors (sharded or not), and the tokenizer if there is one.
   * Models saved by {@link saveModel} come back bit for bit. Every tensor of the checkpoint has to have its place in the
   * model, but for those that follow from others: `*.rotary_emb.inv_freq`, and `lm_head.weight` if embeddings are tied.
   * @throws QutlassError `QUTLASS_E_CHECKPOINT`, `QUTLASS_E_UNSUPPORTED`; all that was read is then freed
   */
  static load(directory: string, options: LoadOptions = {}): Promise<Llama> {
    return loadLlama(directory, options);
  }

  /** An empty cache for this model; default capacity: the longest context of the model. */
  createCache(capacity: number = this.config.maxPositionEmbeddings): KVCache {
    const { numLayers, numKvHeads, headDim } = this.config;
    return new KVCache({
      layers: numLayers,
      capacity,
      kvHeads: numKvHeads,
      headDim,
      dtype: this.dtype,
      device: this.device,
    });
  }

  /**
   * Logits [M, vocabulary] of tokens [M], or of the last one [1, vocabulary]. Returns at once. An id outside of the
   * vocabulary gives NaN.
   * @throws QutlassError `QUTLASS_E_SHAPE` if the cache is full; a call that throws leaves its length as it was
   */
  forward(ids: Tensor<'i32'>, options: ForwardOptions): Tensor<FloatDType> {
    this.requireLive('Llama');
    const { cache, positions } = options;
    if (positions && positions.size !== ids.size) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'positions', `${ids.size} elements`, String(positions.size));
    }
    const { length } = cache;
    try {
      using own = positions ? undefined : this.#nextPositions(cache, ids.size);
      return this.#logits(ids, (positions ?? own) as Tensor<'i32'>, options);
    } catch (error) {
      cache.truncate(length);
      throw error;
    }
  }

  /**
   * Continues a text (which needs a tokenizer) or token ids, token by token. Decoding replays one captured graph.
   *
   * @example
   * for await (const token of model.generate('def main', { maxTokens: 64 })) process.stdout.write(token.text);
   */
  generate(
    prompt: string | readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<GeneratedToken, void> {
    return generate(this, prompt, options);
  }

  #logits(
    ids: Tensor<'i32'>,
    positions: Tensor<'i32'>,
    { cache, lastOnly = false }: ForwardOptions,
  ): Tensor<FloatDType> {
    const context = { positions, inverseFrequencies: this.#inverseFrequencies, cache };
    using residual = (this.child('model.embed_tokens') as Embedding).forward(ids, this.dtype);
    let delta: Tensor<FloatDType> | null = null;
    try {
      for (let index = 0; index < this.config.numLayers; ++index) {
        const layer = this.child(`model.layers.${index}`) as DecoderLayer;
        const next: Tensor<FloatDType> = layer.forward(delta, residual, context);
        delta?.dispose();
        delta = next;
      }
      using normed = this.#finalNorm(delta, residual);
      const rows = ids.size;
      using last = lastOnly && rows > 1 ? sliceRows(normed, rows - 1, rows) : normed.share();
      return (this.child('lm_head') as LinearModule).forward(last);
    } finally {
      delta?.dispose();
    }
  }

  #finalNorm(delta: Tensor<FloatDType> | null, residual: Tensor<FloatDType>): Tensor<FloatDType> {
    const norm = this.child('model.norm') as RMSNorm;
    return delta ? norm.forward(delta, residual) : norm.forward(residual);
  }

  #nextPositions(cache: KVCache, count: number): Tensor<'i32'> {
    const start = cache.advance(count);
    const positions = Int32Array.from({ length: count }, (_, i) => start + i);
    return Tensor.from(positions, { shape: [count], dtype: 'i32', device: this.device });
  }

  protected override moved(device: Device): void {
    if (this.device === device) return;
    this.#inverseFrequencies.dispose();
    this.#inverseFrequencies = inverseFrequencies(this.config, device);
  }

  override *owned(): Iterable<Resource> {
    yield* super.owned();
    yield this.#inverseFrequencies;
  }
}

function inverseFrequencies(config: LlamaConfig, device: Device): Tensor<'f32'> {
  return Tensor.from(ropeInverseFrequencies(config), { shape: [config.headDim / 2], device });
}
