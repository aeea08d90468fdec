import { embedding, type FloatDType, invalidArgument, shapeText, type Tensor } from '@qutlass/core-kernels';
import { Module } from './module.js';

/** A table of vectors. */
export class Embedding extends Module {
  /** Takes over weight [vocabulary, features]. */
  constructor(weight: Tensor<FloatDType>) {
    if (weight.rank !== 2)
      throw invalidArgument('QUTLASS_E_SHAPE', 'weight', 'a matrix', shapeText(weight.shape));
    super();
    this.addParameter('weight', weight);
  }

  get weight(): Tensor<FloatDType> {
    return this.parameter('weight') as Tensor<FloatDType>;
  }

  /** ids [M] to vectors [M, features] in the dtype. */
  forward<D extends FloatDType>(ids: Tensor<'i32'>, dtype: D): Tensor<D> {
    return embedding(ids, this.weight, dtype);
  }
}
