import type { FloatDType, Tensor } from '@qutlass/core-kernels';
import type { Format, QuantizedTensor, QuantizeOptions } from '@qutlass/quant';

/** What an operation can make in two ways. */
export interface Maker<D extends FloatDType> {
  dense(): Tensor<D>;
  /** As quantizing what {@link dense} makes, to the same bytes. */
  quantized(format: Format, options: QuantizeOptions): QuantizedTensor<Format>;
}

/**
 * A matrix [M, features] that an operation has yet to make. The layer that reads it says how: where it quantizes its input,
 * the operation and the quantizer are one launch. It is made once.
 */
export class Deferred<D extends FloatDType = FloatDType> implements Maker<D> {
  readonly shape: readonly number[];
  readonly dtype: D;
  readonly #maker: Maker<D>;

  /** like: of its shape and dtype. */
  constructor({ shape, dtype }: Pick<Tensor<D>, 'shape' | 'dtype'>, maker: Maker<D>) {
    this.shape = shape;
    this.dtype = dtype;
    this.#maker = maker;
  }

  dense(): Tensor<D> {
    return this.#maker.dense();
  }

  quantized(format: Format, options: QuantizeOptions): QuantizedTensor<Format> {
    return this.#maker.quantized(format, options);
  }
}
