import {
  type FloatDType,
  invalidArgument,
  requireSameDevice,
  scope,
  shapeText,
  Tensor,
} from '@qutlass/core-kernels';
import {
  type Accuracy,
  type Factor,
  type Format,
  type MatmulOptions,
  matmul,
  matmulGroup,
  type OperandA,
  type Rotation,
} from '@qutlass/gemm';
import { Deferred } from './deferred.js';
import type { Embedding } from './embedding.js';
import { Module } from './module.js';

/** What a layer multiplies: x padded to `cols`, then rotated and quantized if there are `activations`. */
export interface Reading {
  readonly cols: number;
  readonly activations: Format | null;
  readonly rotation?: Rotation | undefined;
  readonly accuracy: Accuracy;
}

function isSameReading(a: Reading, b: Reading): boolean {
  if (a.cols !== b.cols || a.activations?.name !== b.activations?.name || a.accuracy !== b.accuracy)
    return false;
  return a.rotation === b.rotation || Boolean(a.rotation && b.rotation?.equals(a.rotation));
}

/**
 * The options of a product of this operand. What a layer makes of its input multiplies with its weight, which was checked when
 * the layer was made, so the pair of formats is not in the types here. Written out: spreads take longer than the rest.
 */
function productOptions<D extends FloatDType>(
  operand: OperandA,
  { activations, accuracy }: Reading,
  outDType: D,
  bias?: Tensor<FloatDType>,
): MatmulOptions<D> & { activations?: never } {
  const format = operand instanceof Tensor ? activations : null;
  return { bias, outDType, accuracy, activations: (format ?? undefined) as never };
}

/** A layer y = x W^T + b, W [outFeatures, inFeatures], whatever W is stored in. */
export abstract class LinearModule extends Module {
  abstract readonly inFeatures: number;
  abstract readonly outFeatures: number;

  /**
   * x [.., inFeatures] to [.., outFeatures] in the dtype of x. Returns at once.
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DISPOSED`
   */
  forward<D extends FloatDType>(x: Tensor<D> | Deferred<D>): Tensor<D> {
    this.#requireInput(x);
    if (x instanceof Deferred || x.rank === 2) return this.product(x);
    using matrix = x.reshape([x.size / this.inFeatures, this.inFeatures]);
    using out = this.product(matrix);
    return out.reshape([...x.shape.slice(0, -1), this.outFeatures]);
  }

  /**
   * What each of the layers gives for the same x [M, inFeatures]. Where they read it alike it is quantized once, and
   * the products are made together; else it is as if each were called.
   * @throws QutlassError as {@link forward}
   */
  static forwardGroup<D extends FloatDType>(
    layers: readonly LinearModule[],
    x: Tensor<D> | Deferred<D>,
  ): Tensor<D>[] {
    for (const layer of layers) layer.#requireInput(x);
    return scope(() => {
      const [first] = layers;
      if (!first || !layers.every(({ reading }) => isSameReading(reading, first.reading))) {
        const made = x instanceof Deferred ? x.dense() : x;
        return layers.map((layer) => layer.forward(made));
      }
      const factors = layers.map(({ factor }) => factor);
      const operand = first.operand(x) as Tensor<D>;
      return matmulGroup(operand, factors, productOptions(operand, first.reading, x.dtype));
    });
  }

  /** What becomes of x [M, inFeatures] before it is multiplied. */
  protected get reading(): Reading {
    return { cols: this.inFeatures, activations: null, accuracy: 'exact' };
  }

  /**
   * x [M, inFeatures] as it is handed to a product, x itself if nothing becomes of it before. What is dense here is quantized
   * by the product, if the layer reads it so.
   */
  protected operand(x: Tensor<FloatDType> | Deferred): OperandA {
    return x instanceof Deferred ? x.dense() : x;
  }

  /** What it is multiplied with. */
  protected abstract get factor(): Factor;

  /** x [M, inFeatures] to [M, outFeatures]. */
  protected product<D extends FloatDType>(x: Tensor<D> | Deferred<D>): Tensor<D> {
    const operand = this.operand(x) as Tensor<D>;
    try {
      const { b, bias } = this.factor;
      return matmul(operand, b, productOptions(operand, this.reading, x.dtype, bias));
    } finally {
      if (operand !== x) operand.dispose();
    }
  }

  #requireInput(x: Pick<Tensor, 'shape'>): void {
    this.requireLive();
    if (x.shape.at(-1) === this.inFeatures) return;
    throw invalidArgument('QUTLASS_E_SHAPE', 'x', `shape [.., ${this.inFeatures}]`, shapeText(x.shape));
  }

  /** Any linear layer with the same features can stand here. */
  protected override requireSubstitute(replacement: Module): void {
    const { inFeatures, outFeatures } = this;
    if (!(replacement instanceof LinearModule)) {
      throw invalidArgument(
        'QUTLASS_E_ARGUMENT',
        'replacement',
        'a linear layer',
        replacement.constructor.name,
      );
    }
    if (replacement.inFeatures !== inFeatures || replacement.outFeatures !== outFeatures) {
      const got = `${replacement.inFeatures} -> ${replacement.outFeatures}`;
      throw invalidArgument(
        'QUTLASS_E_SHAPE',
        'replacement',
        `${inFeatures} -> ${outFeatures} features`,
        got,
      );
    }
  }
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

  protected get factor(): Factor {
    const { weight, bias } = this;
    return { b: weight, bias };
  }

  override toString(): string {
    return `Linear(${this.inFeatures} -> ${this.outFeatures}, ${this.weight.dtype})`;
  }
}

/** A linear layer whose weight is the table of an embedding. It has no parameters of its own, as in checkpoints. */
export class TiedLinear extends LinearModule {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly #embedding: Embedding;

  /** The embedding stays the caller's and has to live as long. */
  constructor(embedding: Embedding) {
    const [outFeatures, inFeatures] = requireWeight(embedding.weight, undefined);
    super();
    this.outFeatures = outFeatures;
    this.inFeatures = inFeatures;
    this.#embedding = embedding;
  }

  get weight(): Tensor<FloatDType> {
    return this.#embedding.weight;
  }

  protected get factor(): Factor {
    return { b: this.weight };
  }

  override toString(): string {
    return `TiedLinear(${this.inFeatures} -> ${this.outFeatures}, ${this.weight.dtype})`;
  }
}

/** The extents [N, K] of a weight that fits its bias. */
export function requireWeight(
  weight: Tensor<FloatDType>,
  bias: Tensor<FloatDType> | undefined,
): [outFeatures: number, inFeatures: number] {
  const [n, k] = weight.shape;
  if (weight.rank !== 2 || n === undefined || k === undefined) {
    throw invalidArgument(
      'QUTLASS_E_SHAPE',
      'weight',
      'a matrix [outFeatures, inFeatures]',
      shapeText(weight.shape),
    );
  }
  requireBias(bias, n, weight);
  return [n, k];
}

/** Checks a bias [outFeatures] on the device of its weight. */
export function requireBias(
  bias: Tensor<FloatDType> | undefined,
  outFeatures: number,
  weight: Parameters<typeof requireSameDevice>[0],
): void {
  if (bias && (bias.rank !== 1 || bias.size !== outFeatures)) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'bias', `shape [${outFeatures}]`, shapeText(bias.shape));
  }
  requireSameDevice(weight, bias);
}
