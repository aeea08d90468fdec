import {
  type Device,
  type FloatDType,
  invalidArgument,
  pad,
  scope,
  type Tensor,
  unscoped,
} from '@qutlass/core-kernels';
import {
  type Accuracy,
  type Factor,
  FORMAT_PAIRS,
  type OperandA,
  type PreparedWeight,
  prepare,
} from '@qutlass/gemm';
import { type Format, paddedCols, type QuantizedTensor, quantize, type Rotation } from '@qutlass/quant';
import { Deferred } from './deferred.js';
import { LinearModule, type Reading, requireBias, requireWeight } from './linear.js';

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
  /**
   * What kernels may do to a dense input, see `matmul`; default `exact`. It is of the layer here, not of the weight: no
   * checkpoint stores it, and it may be changed at any time.
   */
  accuracy: Accuracy = 'exact';
  readonly #hasBias: boolean;
  #prepared: PreparedWeight | undefined;

  /** Puts stored parts together; {@link QuantLinear.from} quantizes. */
  constructor({ weight, inFeatures, activations = null, bias }: QuantLinearParts) {
    if (!Number.isInteger(inFeatures) || inFeatures < 1 || inFeatures > weight.cols) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'inFeatures', `1 to ${weight.cols}`, String(inFeatures));
    }
    requireBias(bias, weight.rows, weight);
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
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_FORMAT`; the bias then stays the caller's
   */
  static from(weight: Tensor<FloatDType>, options: QuantLinearOptions): QuantLinear {
    const { format, activations = null, rotation, bias } = options;
    const [rows, inFeatures] = requireWeight(weight, bias);
    requireMultiplies(activations, format);
    const cols = [format, ...(activations ? [activations] : [])].reduce(
      (k, operand) => paddedCols(operand, k, rotation?.size),
      inFeatures,
    );
    return scope(() => {
      const padded = cols === inFeatures ? weight : pad(weight, rows, cols);
      const quantized = quantize(padded, format, rotation ? { rotation } : {});
      return new QuantLinear({ weight: quantized, inFeatures, activations, ...(bias && { bias }) });
    });
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

  protected override get reading(): Reading {
    const { activations, accuracy, prepared } = this;
    // A dense input is rotated by the product.
    const rotation = activations ? prepared.rotation : undefined;
    return { cols: prepared.shape[1], activations, rotation, accuracy };
  }

  protected override operand(x: Tensor<FloatDType> | Deferred): OperandA {
    const { cols, activations, rotation } = this.reading;
    if (cols !== this.inFeatures)
      return scope(() => pad(super.operand(x) as Tensor<FloatDType>, x.shape[0] ?? 1, cols));
    if (activations && x instanceof Deferred) return x.quantized(activations, rotation ? { rotation } : {});
    return super.operand(x);
  }

  protected get factor(): Factor {
    const { prepared, bias } = this;
    return { b: prepared, bias };
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

  protected override moved(device: Device): void {
    if (this.#prepared && this.#prepared.device !== device) this.#dropPrepared();
  }

  protected override release(): void {
    this.#dropPrepared();
    super.release();
  }

  #dropPrepared(): void {
    this.#prepared?.dispose();
    this.#prepared = undefined;
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
