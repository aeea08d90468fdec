import { type FloatDType, invalidArgument, pad, shapeText, type Tensor, unscoped } from '@qutlass/core-kernels';
import { FORMAT_PAIRS, matmul, type PreparedWeight, prepare } from '@qutlass/gemm';
import { type Format, paddedCols, type QuantizedTensor, quantize, type Rotation } from '@qutlass/quant';
import { LinearModule, requireWeight } from './linear.js';

export interface QuantLinearOptions {
  /** Of the weight. */
  format: Format;
  /** Quantize the input in the forward pass, in a format that multiplies with `format`. Default null: weight-only. */
  activations?: Format | null;
  /** Rotate weight and input along K before quantizing. */
  rotation?: Rotation;
  /** [outFeatures]; taken over. */
  bias?: Tensor<FloatDType>;
}

export interface QuantLinearParts {
  /** [outFeatures, K], K at least inFeatures and padded with zeros; taken over. */
  weight: QuantizedTensor<Format, 'row'>;
  inFeatures: number;
  activations?: Format | null;
  bias?: Tensor<FloatDType>;
}

/**
 * A linear layer with a quantized weight. K is padded to the group of the format and to the rotation inside, so any number
 * of features works. The weight is prepared for the kernels once, on first use.
 */
export class QuantLinear extends LinearModule {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly activations: Format | null;
  readonly #hasBias: boolean;
  #prepared: PreparedWeight | undefined;

  /** Puts stored parts together; {@link QuantLinear.from} quantizes. */
  constructor({ weight, inFeatures, activations = null, bias }: QuantLinearParts) {
    if (inFeatures < 1 || inFeatures > weight.cols) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'inFeatures', `1 to ${weight.cols}`, String(inFeatures));
    }
    if (bias && (bias.rank !== 1 || bias.size !== weight.rows)) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'bias', `shape [${weight.rows}]`, shapeText(bias.shape));
    }
    requireMultiplies(activations, weight.format);
    super();
    this.inFeatures = inFeatures;
    this.outFeatures = weight.rows;
    this.activations = activations;
    this.addParameter('weight', weight);
    if (bias) this.addParameter('bias', bias);
    this.#hasBias = bias !== undefined;
  }

  /**
   * Quantizes a dense weight [outFeatures, inFeatures], which stays the caller's.
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_FORMAT`
   */
  static from(weight: Tensor<FloatDType>, options: QuantLinearOptions): QuantLinear {
    const { format, activations = null, rotation, bias } = options;
    const [rows, inFeatures] = requireWeight(weight, bias);
    requireMultiplies(activations, format);
    const cols = [format, ...(activations ? [activations] : [])].reduce(
      (k, operand) => paddedCols(operand, k, rotation?.size),
      inFeatures,
    );
    using padded = cols === inFeatures ? weight.share() : pad(weight, rows, cols);
    const quantized = quantize(padded, format, rotation ? { rotation } : {});
    return new QuantLinear({ weight: quantized, inFeatures, activations, ...(bias && { bias }) });
  }

  get weight(): QuantizedTensor<Format, 'row'> {
    return this.parameter('weight') as QuantizedTensor<Format, 'row'>;
  }

  get bias(): Tensor<FloatDType> | undefined {
    return this.#hasBias ? (this.parameter('bias') as Tensor<FloatDType>) : undefined;
  }

  get format(): Format {
    return this.weight.format;
  }

  /** The weight as the kernels read it. */
  get prepared(): PreparedWeight {
    this.#prepared ??= unscoped(() => prepare(this.weight));
    return this.#prepared;
  }

  forward<D extends FloatDType>(x: Tensor<D>): Tensor<D> {
    const { prepared, bias } = this;
    if (x.shape.at(-1) !== this.inFeatures) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'x', `shape [.., ${this.inFeatures}]`, shapeText(x.shape));
    }
    const [, cols] = prepared.shape;
    const rows = x.size / this.inFeatures;
    const options = { outDType: x.dtype, ...(bias && { bias }) };
    using matrix = x.reshape([rows, this.inFeatures]);
    using padded = cols === this.inFeatures ? undefined : pad(matrix, rows, cols);
    const input = padded ?? matrix;
    using out = this.activations
      ? this.#quantizedProduct(input, this.activations, options)
      : matmul(input, prepared, options);
    return out.reshape([...x.shape.slice(0, -1), this.outFeatures]);
  }

  #quantizedProduct<D extends FloatDType>(
    x: Tensor<D>,
    format: Format,
    options: { outDType: D; bias?: Tensor<FloatDType> },
  ): Tensor<D> {
    const { rotation } = this.prepared;
    using quantized = quantize(x, format, rotation ? { rotation } : {});
    return matmul(quantized, this.prepared, options);
  }

  override toString(): string {
    const { format, rotation, bitsPerElement } = this.weight;
    const parts = [
      `${this.inFeatures} -> ${this.outFeatures}`,
      format.name,
      ...(this.activations ? [`activations ${this.activations.name}`] : []),
      ...(rotation ? [rotation.toString()] : []),
      `${bitsPerElement.toFixed(2)} bits per weight`,
    ];
    return `QuantLinear(${parts.join(', ')})`;
  }

  protected override parametersMoved(): void {
    this.#prepared?.dispose();
    this.#prepared = undefined;
  }

  protected override release(): void {
    this.parametersMoved();
    super.release();
  }
}

function requireMultiplies(activations: Format | null, weight: Format): void {
  if (!activations) return;
  const partners: readonly string[] = FORMAT_PAIRS[activations.kind];
  if (!partners.includes(weight.kind)) {
    throw invalidArgument(
      'QUTLASS_E_FORMAT',
      'activations',
      `a format that multiplies with ${weight.kind}`,
      activations.name,
    );
  }
}
