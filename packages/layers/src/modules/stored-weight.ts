import {
  type Device,
  type FloatDType,
  invalidArgument,
  pad,
  type Tensor,
  unscoped,
} from '@qutlass/core-kernels';
import { FORMAT_PAIRS, type PreparedWeight, prepare } from '@qutlass/gemm';
import { type Format, paddedCols, type QuantizedTensor, quantize, type Rotation } from '@qutlass/quant';

// What layers with a quantized weight have in common.

/** How a layer quantizes its weight, and its input. */
export interface WeightOptions {
  /** Of the weight. */
  format: Format;
  /** Quantize the input in the forward pass, in a format that multiplies with `format`. Default null: weight-only. */
  activations?: Format | null;
  /** Rotate weight and input along K before quantizing. */
  rotation?: Rotation;
}

/** A dense weight [rows, inFeatures] in the format, K padded with zeros to what weight and input need. For use in a scope. */
export function quantizeWeight(
  weight: Tensor<FloatDType>,
  [rows, inFeatures]: readonly [number, number],
  { format, activations, rotation }: WeightOptions,
): QuantizedTensor<Format, 'row'> {
  requireMultiplies(activations, format);
  const cols = [format, ...(activations ? [activations] : [])].reduce(
    (k, operand) => paddedCols(operand, k, rotation?.size),
    inFeatures,
  );
  const padded = cols === inFeatures ? weight : pad(weight, rows, cols);
  return quantize(padded, format, rotation ? { rotation } : {});
}

/** Checks that the columns of a weight hold so many features. */
export function requireInFeatures(inFeatures: number, { cols }: QuantizedTensor): void {
  if (Number.isInteger(inFeatures) && inFeatures >= 1 && inFeatures <= cols) return;
  throw invalidArgument('QUTLASS_E_SHAPE', 'inFeatures', `1 to ${cols}`, String(inFeatures));
}

/** Checks that an input in this format multiplies with the weight. */
export function requireMultiplies(activations: Format | null | undefined, weight: Format): void {
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

/** A weight as the kernels read it, prepared on first use. */
export class PreparedOnUse {
  #prepared: PreparedWeight | undefined;

  of(weight: QuantizedTensor<Format, 'row'>): PreparedWeight {
    this.#prepared ??= unscoped(() => prepare(weight));
    return this.#prepared;
  }

  /** Frees it unless it is on the device. */
  keepOn(device: Device): void {
    if (this.#prepared && this.#prepared.device !== device) this.dispose();
  }

  dispose(): void {
    this.#prepared?.dispose();
    this.#prepared = undefined;
  }
}
