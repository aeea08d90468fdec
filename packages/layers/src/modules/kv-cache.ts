import {
  copyRows,
  type Device,
  type FloatDType,
  invalidArgument,
  Resource,
  scope,
  Tensor,
} from '@qutlass/core-kernels';

export interface KVCacheOptions {
  layers: number;
  /** Positions that fit. */
  capacity: number;
  kvHeads: number;
  headDim: number;
  dtype: FloatDType;
  device: Device;
}

/** Keys and values of the tokens so far, [capacity, kvHeads, headDim] for each layer. */
export class KVCache extends Resource {
  readonly capacity: number;
  readonly #layers: readonly { readonly keys: Tensor<FloatDType>; readonly values: Tensor<FloatDType> }[];
  #length = 0;

  constructor({ layers, capacity, kvHeads, headDim, dtype, device }: KVCacheOptions) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'capacity', 'a positive integer', String(capacity));
    }
    const shape = [capacity, kvHeads, headDim];
    // In a scope, so that what there is goes back if memory runs out midway.
    const tensors = scope(() =>
      Array.from({ length: layers }, () => ({
        keys: Tensor.zeros(shape, dtype, device),
        values: Tensor.zeros(shape, dtype, device),
      })),
    );
    super();
    this.capacity = capacity;
    this.#layers = tensors;
  }

  /** Number of tokens that the cache holds. */
  get length(): number {
    return this.#length;
  }

  /**
   * Makes room for more tokens; their positions follow those so far.
   * @throws QutlassError `QUTLASS_E_SHAPE` beyond the capacity
   */
  advance(tokens: number): number {
    this.requireLive('KV cache');
    const start = this.#length;
    if (!(tokens >= 0 && start + tokens <= this.capacity)) {
      throw invalidArgument(
        'QUTLASS_E_SHAPE',
        'tokens',
        `at most ${this.capacity - start} more`,
        String(tokens),
      );
    }
    this.#length = start + tokens;
    return start;
  }

  /** Forgets all tokens. */
  clear(): void {
    this.truncate(0);
  }

  /**
   * Forgets all but the first tokens.
   * @throws QutlassError `QUTLASS_E_SHAPE` if there are fewer
   */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'length', `0 to ${this.#length}`, String(length));
    }
    this.#length = length;
  }

  /** Copies keys and values into a larger cache, which then holds the same tokens. */
  copyTo(larger: KVCache): void {
    for (const [index, { keys, values }] of this.#layers.entries()) {
      const target = larger.layer(index);
      copyRows(keys, target.keys, 0);
      copyRows(values, target.values, 0);
    }
    larger.#length = this.#length;
  }

  /** Keys and values of one decoder layer. */
  layer(index: number): { readonly keys: Tensor<FloatDType>; readonly values: Tensor<FloatDType> } {
    const layer = this.#layers[index];
    if (!layer)
      throw invalidArgument('QUTLASS_E_ARGUMENT', 'layer', `below ${this.#layers.length}`, String(index));
    return layer;
  }

  override *owned(): Iterable<Resource> {
    for (const { keys, values } of this.#layers) yield* [keys, values];
  }

  protected release(): void {
    for (const tensor of this.owned()) tensor.dispose();
  }
}
