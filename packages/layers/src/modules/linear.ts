import { type FloatDType, invalidArgument, shapeText, type Tensor } from '@qutlass/core-kernels';
import { matmul } from '@qutlass/gemm';
import { Module } from './module.js';

/** A layer y = x W^T + b, W [outFeatures, inFeatures], whatever W is stored in. */
export abstract class LinearModule extends Module {
  abstract readonly inFeatures: number;
  abstract readonly outFeatures: number;

  /** x [.., inFeatures] to [.., outFeatures] in the dtype of x. Returns at once. */
  abstract forward<D extends FloatDType>(x: Tensor<D>): Tensor<D>;
}

/** A linear layer with a dense weight. */
export class Linear extends LinearModule {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly #hasBias: boolean;

  /** Takes over weight [N, K] and bias [N]. */
  constructor(weight: Tensor<FloatDType>, bias?: Tensor<FloatDType>) {
    const [outFeatures, inFeatures] = requireWeight(weight, bias);
    super();
    this.outFeatures = outFeatures;
    this.inFeatures = inFeatures;
    this.addParameter('weight', weight);
    if (bias) this.addParameter('bias', bias);
    this.#hasBias = bias !== undefined;
  }

  get weight(): Tensor<FloatDType> {
    return this.parameter('weight') as Tensor<FloatDType>;
  }

  get bias(): Tensor<FloatDType> | undefined {
    return this.#hasBias ? (this.parameter('bias') as Tensor<FloatDType>) : undefined;
  }

  forward<D extends FloatDType>(x: Tensor<D>): Tensor<D> {
    const { bias } = this;
    return matmul<D>(x, this.weight, bias ? { bias } : {});
  }

  override toString(): string {
    return `Linear(${this.inFeatures} -> ${this.outFeatures}, ${this.weight.dtype})`;
  }
}

/** The extents [N, K] of a weight that fits its bias. */
export function requireWeight(
  weight: Tensor<FloatDType>,
  bias: Tensor<FloatDType> | undefined,
): [outFeatures: number, inFeatures: number] {
  const [n, k] = weight.shape;
  if (weight.rank !== 2 || n === undefined || k === undefined) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'weight', 'a matrix [outFeatures, inFeatures]', shapeText(weight.shape));
  }
  if (bias && (bias.rank !== 1 || bias.size !== n)) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'bias', `shape [${n}]`, shapeText(bias.shape));
  }
  return [n, k];
}
