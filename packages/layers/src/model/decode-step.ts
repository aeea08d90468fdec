import {
  copyRows,
  Graph,
  Resource,
  type SamplingOptions,
  sample,
  scope,
  Tensor,
} from '@qutlass/core-kernels';
import type { KVCache } from '../modules/kv-cache.js';
import type { Llama } from './llama.js';

/** New tokens that the first cache has room for; each later cache is twice as large as the one before. */
const FIRST_TOKENS = 256;

/**
 * The state of a text while it grows: cache, newest token, position. One step is captured into a graph the first time and
 * replayed until the cache is full; token, position and counter are read from device memory, so the same graph serves every
 * step.
 */
export class DecodeStep extends Resource {
  readonly #model: Llama;
  readonly #sampling: SamplingOptions;
  readonly #limit: number;
  readonly #token: Tensor<'i32'>;
  readonly #position: Tensor<'i32'>;
  readonly #counter: Tensor<'i32'>;
  #cache: KVCache;
  #graph: Graph | undefined;
  #steps = 0;

  /**
   * @param promptLength tokens of the prompt
   * @param limit tokens at most, those of the prompt included
   */
  constructor(model: Llama, promptLength: number, limit: number, sampling: SamplingOptions) {
    const scalar = () => Tensor.zeros([1], 'i32', model.device);
    const state = scope(() => ({
      cache: model.createCache(Math.min(promptLength + FIRST_TOKENS, limit)),
      token: scalar(),
      position: scalar(),
      counter: scalar(),
    }));
    super();
    this.#model = model;
    this.#sampling = sampling;
    this.#limit = limit;
    this.#cache = state.cache;
    this.#token = state.token;
    this.#position = state.position;
    this.#counter = state.counter;
  }

  /** Runs the prompt and draws the first token. */
  prefill(ids: readonly number[]): void {
    const { device } = this.#token;
    using input = Tensor.from(Int32Array.from(ids), { shape: [ids.length], dtype: 'i32', device });
    using logits = this.#model.forward(input, { cache: this.#cache, lastOnly: true });
    this.#draw(logits);
  }

  /** Runs the newest token and draws the next. */
  advance(): void {
    if (this.#cache.length === this.#cache.capacity) this.#grow();
    this.#position.write(Int32Array.of(this.#cache.advance(1)));
    this.#counter.write(Int32Array.of(++this.#steps));
    this.#graph ??= Graph.capture(this.#token.device, () => {
      using logits = this.#model.forward(this.#token, { cache: this.#cache, positions: this.#position });
      this.#draw(logits);
    });
    this.#graph.launch();
  }

  /** The newest token, once it is known. */
  async token(): Promise<number> {
    const [id = 0] = await this.#token.toArray();
    return id;
  }

  #draw(logits: Parameters<typeof sample>[0]): void {
    using next = sample(logits, this.#counter, this.#sampling);
    copyRows(next, this.#token, 0);
  }

  #grow(): void {
    const larger = scope(() => {
      const cache = this.#model.createCache(Math.min(2 * this.#cache.capacity, this.#limit));
      this.#cache.copyTo(cache);
      return cache;
    });
    this.#cache.dispose();
    this.#cache = larger;
    this.#graph?.dispose();
    this.#graph = undefined;
  }

  override *owned(): Iterable<Resource> {
    yield* [this.#cache, this.#token, this.#position, this.#counter];
    if (this.#graph) yield this.#graph;
  }

  protected release(): void {
    for (const resource of this.owned()) resource.dispose();
  }
}
