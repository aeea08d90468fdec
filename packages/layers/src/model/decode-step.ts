import { copyRows, Graph, Resource, type SamplingOptions, sample, Tensor } from '@qutlass/core-kernels';
import type { KVCache } from '../modules/kv-cache.js';
import type { Llama } from './llama.js';

/**
 * The state of a text while it grows: cache, newest token, position. One step is captured into a graph the first time and
 * replayed from then on; token, position and counter are read from device memory, so the same graph serves every step.
 */
export class DecodeStep extends Resource {
  readonly #model: Llama;
  readonly #sampling: SamplingOptions;
  readonly #cache: KVCache;
  readonly #token: Tensor<'i32'>;
  readonly #position: Tensor<'i32'>;
  readonly #counter: Tensor<'i32'>;
  #graph: Graph | undefined;
  #steps = 0;

  /** capacity: tokens that fit, prompt included. */
  constructor(model: Llama, capacity: number, sampling: SamplingOptions) {
    super();
    this.#model = model;
    this.#sampling = sampling;
    this.#cache = model.createCache(capacity);
    const scalar = () => Tensor.zeros([1], 'i32', model.device);
    [this.#token, this.#position, this.#counter] = [scalar(), scalar(), scalar()];
  }

  /** Runs the prompt and draws the first token. */
  prefill(ids: readonly number[]): void {
    const { device } = this.#model;
    using input = Tensor.from(Int32Array.from(ids), { shape: [ids.length], dtype: 'i32', device });
    using logits = this.#model.forward(input, { cache: this.#cache, lastOnly: true });
    this.#draw(logits);
  }

  /** Runs the newest token and draws the next. */
  advance(): void {
    this.#position.write(Int32Array.of(this.#cache.advance(1)));
    this.#counter.write(Int32Array.of(++this.#steps));
    this.#graph ??= Graph.capture(this.#model.device, () => {
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

  override *owned(): Iterable<Resource> {
    yield* [this.#cache, this.#token, this.#position, this.#counter];
    if (this.#graph) yield this.#graph;
  }

  protected release(): void {
    for (const resource of this.owned()) resource.dispose();
  }
}
