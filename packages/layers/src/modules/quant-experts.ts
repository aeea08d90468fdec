import {
  type Device,
  type FloatDType,
  invalidArgument,
  pad,
  requireSameDevice,
  scope,
  shapeText,
  type Tensor,
} from '@qutlass/core-kernels';
import { type Accuracy, matmulExperts, type PreparedWeight } from '@qutlass/gemm';
import type { Format, QuantizedTensor } from '@qutlass/quant';
import { Module } from './module.js';
import {
  PreparedOnUse,
  quantizeWeight,
  requireInFeatures,
  requireMultiplies,
  type WeightOptions,
} from './stored-weight.js';

export interface QuantExpertsOptions extends WeightOptions {
  /** [experts, outFeatures]; taken over. */
  bias?: Tensor<FloatDType>;
}

export interface QuantExpertsParts {
  /** [experts * outFeatures, K], K at least inFeatures and padded with zeros; taken over. */
  weight: QuantizedTensor<Format, 'row'>;
  experts: number;
  inFeatures: number;
  activations?: Format | null;
  /** [experts, outFeatures]; taken over. */
  bias?: Tensor<FloatDType>;
}

/**
 * The linear layers of a mixture of experts, one quantized weight for all, prepared for the kernels on first use. As in
 * {@link QuantLinear}, any number of features works.
 */
export class QuantExperts extends Module {
  readonly experts: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly activations: Format | null;
  /** What kernels may do to a dense input, see `matmul`; default `exact`. */
  accuracy: Accuracy = 'exact';
  readonly #hasBias: boolean;
  readonly #prepared = new PreparedOnUse();

  /** Puts stored parts together; {@link QuantExperts.from} quantizes. */
  constructor({ weight, experts, inFeatures, activations = null, bias }: QuantExpertsParts) {
    requireInFeatures(inFeatures, weight);
    const outFeatures = weight.rows / experts;
    if (!Number.isInteger(experts) || experts < 1 || !Number.isInteger(outFeatures)) {
      const expected = `a number that divides the ${weight.rows} rows of the weight`;
      throw invalidArgument('QUTLASS_E_SHAPE', 'experts', expected, String(experts));
    }
    requireBiases(bias, [experts, outFeatures], weight);
    requireMultiplies(activations, weight.format);
    super();
    this.experts = experts;
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.activations = activations;
    this.addParameter('weight', weight);
    if (bias) this.addParameter('bias', bias);
    this.#hasBias = bias !== undefined;
  }

  /**
   * Quantizes a dense weight [experts, outFeatures, inFeatures], which stays the caller's.
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_FORMAT`; the bias then stays the caller's
   */
  static from(weight: Tensor<FloatDType>, options: QuantExpertsOptions): QuantExperts {
    const [experts, outFeatures, inFeatures] = weight.shape;
    if (weight.rank !== 3 || !experts || !outFeatures || !inFeatures) {
      const expected = 'shape [experts, outFeatures, inFeatures]';
      throw invalidArgument('QUTLASS_E_SHAPE', 'weight', expected, shapeText(weight.shape));
    }
    const { activations = null, bias } = options;
    requireBiases(bias, [experts, outFeatures], weight);
    return scope(() => {
      const rows = experts * outFeatures;
      const matrix = weight.reshape([rows, inFeatures]);
      return new QuantExperts({
        weight: quantizeWeight(matrix, [rows, inFeatures], options),
        experts,
        inFeatures,
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

  /**
   * x [T, inFeatures] sorted by expert, rows `offsets[e]` to `offsets[e + 1]` being those of expert e, to [T, outFeatures] in
   * the dtype of x. Returns at once; offsets are read when the work runs, see `matmulExperts`.
   * @param offsets i32 [experts + 1]
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_DISPOSED`
   */
  forward<D extends FloatDType>(x: Tensor<D>, offsets: Tensor<'i32'>): Tensor<D> {
    this.requireLive();
    const { experts, inFeatures, activations, accuracy, bias } = this;
    const [rows = 1] = x.shape;
    if (x.rank !== 2 || x.shape[1] !== inFeatures) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'x', `shape [T, ${inFeatures}]`, shapeText(x.shape));
    }
    if (offsets.rank !== 1 || offsets.size !== experts + 1) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'offsets', `shape [${experts + 1}]`, shapeText(offsets.shape));
    }
    const { prepared } = this;
    return scope(() => {
      const [, cols] = prepared.shape;
      const operand = cols === inFeatures ? x : (pad(x, rows, cols) as Tensor<D>);
      // The pair of formats was checked when the layer was made.
      const quantizing = (activations ?? undefined) as never;
      return matmulExperts(operand, prepared, offsets, {
        bias,
        accuracy,
        outDType: x.dtype,
        activations: quantizing,
      });
    });
  }

  override toString(): string {
    const { format, rotation, bitsPerElement } = this.weight;
    const parts = [
      `${this.experts} x ${this.inFeatures} -> ${this.outFeatures}`,
      format.name,
      ...(this.activations ? [`activations ${this.activations.name}`] : []),
      ...(rotation ? [rotation.toString()] : []),
      `${bitsPerElement.toFixed(2)} bits per weight`,
    ];
    return `QuantExperts(${parts.join(', ')})`;
  }

  protected override moved(device: Device): void {
    this.#prepared.keepOn(device);
  }

  protected override release(): void {
    this.#prepared.dispose();
    super.release();
  }
}

function requireBiases(
  bias: Tensor<FloatDType> | undefined,
  [experts, outFeatures]: readonly [number, number],
  weight: Parameters<typeof requireSameDevice>[0],
): void {
  if (bias && (bias.rank !== 2 || bias.shape[0] !== experts || bias.shape[1] !== outFeatures)) {
    const expected = `shape [${experts}, ${outFeatures}]`;
    throw invalidArgument('QUTLASS_E_SHAPE', 'bias', expected, shapeText(bias.shape));
  }
  requireSameDevice(weight, bias);
}
