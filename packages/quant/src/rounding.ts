import {
  type Device,
  invalidArgument,
  loadBinding,
  type RoundingHandle,
  requireSameDevice,
  shapeText,
  Tensor,
} from '@qutlass/core-kernels';

/** How elements become codes, other than to the nearest: see {@link stochastic}. A value: it has no memory to dispose. */
export interface Rounding {
  readonly kind: 'stochastic';
  readonly seed: number;
  readonly draw: number | Tensor<'i32'>;
}

export interface StochasticOptions {
  /** From 0 to 2^53 - 1. The same seed gives the same codes, on every device. */
  seed: number;
  /**
   * Which random numbers of the seed: another one for every step and for every matrix that is not to share them, from 0 to
   * 2^32 - 1. Or one i32 on the device, read when the stream gets there: a graph that counts it on draws anew at each replay.
   * Default 0.
   */
  draw?: number | Tensor<'i32'>;
}

/**
 * Stochastic rounding: an element a fraction f of the way between two neighbouring codes becomes the upper one with
 * probability f, so that its expected value is itself. Values of codes stay what they are, and elements beyond the last code
 * become that, as with rounding to nearest. So there is no bias only where nothing saturates: under the rules `rceil`,
 * `abs_max` and those of fp8, int8 and int4. Under `floor` the largest elements of a group saturate, under `quest` by design, and
 * in nvfp4 where the scale was rounded down, by up to 6 %.
 * The random number of an element depends on seed, draw, row and column alone (Philox 4x32-10, 16 bits).
 * @throws QutlassError `QUTLASS_E_ARGUMENT`, `QUTLASS_E_SHAPE`
 */
export function stochastic({ seed, draw = 0 }: StochasticOptions): Rounding {
  requireInteger('seed', seed, 53);
  if (!(draw instanceof Tensor)) requireInteger('draw', draw, 32);
  else if (draw.dtype !== 'i32') throw invalidArgument('QUTLASS_E_DTYPE', 'draw', 'i32', draw.dtype);
  else if (draw.size !== 1) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'draw', 'one element', `shape ${shapeText(draw.shape)}`);
  }
  return Object.freeze({ kind: 'stochastic', seed, draw });
}

function requireInteger(name: string, value: number, bits: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', name, `an integer from 0 to 2^${bits} - 1`, String(value));
  }
}

/** @internal The numbers of `qutlass_rounding_kind`. */
export const ROUNDINGS = { nearest: 0, stochastic: 1 } as const;

/** @internal The native handle; null to nearest. It refers to the tensor of the draw, which the caller keeps alive. */
export function nativeRounding(rounding: Rounding | undefined, device: Device): RoundingHandle | null {
  if (!rounding) return null;
  const { kind, seed, draw } = rounding;
  const counter = draw instanceof Tensor ? draw : undefined;
  requireSameDevice({ device }, counter);
  const number = counter ? 0 : (draw as number);
  return loadBinding().roundingCreate(ROUNDINGS[kind], number, seed, counter?.handle ?? null);
}
