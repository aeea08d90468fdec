import type { FloatDType } from './dtype.js';
import { QutlassError } from './errors.js';

/** Code and text of the QutlassError that `action` throws. */
export function failure(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return textOf(error);
  }
  throw new Error('expected a QutlassError, got none');
}

/** Code and text of the QutlassError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return textOf(error);
  }
  throw new Error('expected a QutlassError, got none');
}

function textOf(error: unknown): string {
  if (error instanceof QutlassError) return `${error.code} ${error.message}`;
  throw error;
}

/** Bits of the significand with the implicit one, and of the exponent, in IEEE 754 terms. */
const WIDTHS = {
  f32: { precision: 24, exponent: 8 },
  bf16: { precision: 8, exponent: 8 },
  f16: { precision: 11, exponent: 5 },
} as const;

/** The value of the dtype nearest to x, ties to the even significand; past the largest by half a step: infinity. */
export function roundTo(dtype: FloatDType, x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const { precision, exponent } = WIDTHS[dtype];
  const bias = 2 ** (exponent - 1) - 1;
  const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), 1 - bias) - precision + 1);
  const down = Math.floor(x / step);
  const rest = x / step - down;
  const rounded = (rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down) * step;
  return Math.abs(rounded) >= 2 ** (bias + 1) ? Math.sign(x) * Infinity : rounded || 0 * x;
}

/** The value of the bits of a bf16 or f16. */
export function valueOfBits(dtype: 'bf16' | 'f16', bits: number): number {
  const { precision, exponent } = WIDTHS[dtype];
  const bias = 2 ** (exponent - 1) - 1;
  const sign = bits & 0x8000 ? -1 : 1;
  const biased = (bits & 0x7fff) >> (precision - 1);
  const fraction = (bits & (2 ** (precision - 1) - 1)) / 2 ** (precision - 1);
  if (biased === 2 ** exponent - 1) return fraction ? Number.NaN : sign * Infinity;
  return sign * (biased ? (1 + fraction) * 2 ** (biased - bias) : fraction * 2 ** (1 - bias));
}
