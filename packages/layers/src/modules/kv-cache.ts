import { type Device, type FloatDType, invalidArgument, Resource, Tensor } from '@qutlass/core-kernels';

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
    super();
    this.capacity = capacity;
    const shape = [capacity, kvHeads, headDim];
    this.#layers = Array.from({ length: layers }, () => ({
      keys: Tensor.zeros(shape, dtype, device),
      values: Tensor.zeros(shape, dtype, device),
    }));
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
    if (start + tokens > this.capacity) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'tokens', `at most ${this.capacity - start} more`, String(tokens));
    }
    this.#length = start + tokens;
    return start;
  }

  /** Forgets all tokens. */
  clear(): void {
    this.#length = 0;
  }

  layer(index: number): { readonly keys: Tensor<FloatDType>; readonly values: Tensor<FloatDType> } {
    const layer = this.#layers[index];
    if (!layer) throw invalidArgument('QUTLASS_E_ARGUMENT', 'layer', `below ${this.#layers.length}`, String(index));
    return layer;
  }

  override *owned(): Iterable<Resource> {
    for (const { keys, values } of this.#layers) yield* [keys, values];
  }

  protected release(): void {
    for (const tensor of this.owned()) tensor.dispose();
  }
}
