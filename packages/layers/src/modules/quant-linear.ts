import { type Device, type FloatDType, pad, scope, type Tensor } from '@qutlass/core-kernels';
import type { Accuracy, Factor, OperandA, PreparedWeight } from '@qutlass/gemm';
import type { Format, QuantizedTensor } from '@qutlass/quant';
import { Deferred } from './deferred.js';
import { LinearModule, type Reading, requireBias, requireWeight } from './linear.js';
import {
  PreparedOnUse,
  quantizeWeight,
  requireInFeatures,
  requireMultiplies,
  type WeightOptions,
} from './stored-weight.js';

export interface QuantLinearOptions extends WeightOptions {
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
  readonly #prepared = new PreparedOnUse();

  /** Puts stored parts together; {@link QuantLinear.from} quantizes. */
  constructor({ weight, inFeatures, activations = null, bias }: QuantLinearParts) {
    requireInFeatures(inFeatures, weight);
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
    const { activations = null, bias } = options;
    const extents = requireWeight(weight, bias);
    return scope(() => {
      const quantized = quantizeWeight(weight, extents, options);
      return new QuantLinear({
        weight: quantized,
        inFeatures: extents[1],
        activations,
        ...(bias && { bias }),
      });
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
    return this.#prepared.of(this.weight);
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
    this.#prepared.keepOn(device);
  }

  protected override release(): void {
    this.#prepared.dispose();
    super.release();
  }
}
