// bfloat16 and half precision by their definition, in float64: nothing of it is a bit trick.

/** Precision in bits, smallest normal exponent, largest finite value. */
interface Binary {
  readonly precision: number;
  readonly minExponent: number;
  readonly max: number;
}

const BF16: Binary = { precision: 8, minExponent: -126, max: (2 - 2 ** -7) * 2 ** 127 };
const F16: Binary = { precision: 11, minExponent: -14, max: 65504 };
const F32: Binary = { precision: 24, minExponent: -126, max: (2 - 2 ** -23) * 2 ** 127 };

const BINARIES = { f32: F32, bf16: BF16, f16: F16 } as const;

/** floor(log2 x) of a positive finite x. */
export function exponentOf(x: number): number {
  let exponent = Math.floor(Math.log2(x));
  // The logarithm is rounded: correct it by one where it crossed an integer.
  if (2 ** exponent > x) exponent -= 1;
  else if (2 ** (exponent + 1) <= x) exponent += 1;
  return exponent;
}

/** The integer nearest to x, ties to even. */
export function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The value of the dtype nearest to x, ties to even; beyond the largest value by half a step: infinity. */
export function roundTo(dtype: keyof typeof BINARIES, x: number): number {
  const { precision, minExponent, max } = BINARIES[dtype];
  if (x === 0 || !Number.isFinite(x)) return x;
  const step = 2 ** (Math.max(exponentOf(Math.abs(x)), minExponent) - precision + 1);
  const rounded = roundToEven(x / step) * step;
  if (Math.abs(rounded) > max) return x < 0 ? -Infinity : Infinity;
  return rounded === 0 && x < 0 ? -0 : rounded;
}

function encode({ precision, minExponent }: Binary, exponentBits: number, x: number): number {
  const top = 2 ** exponentBits - 1;
  const unit = 2 ** (precision - 1);
  if (Number.isNaN(x)) return top * unit + unit / 2;
  const sign = x < 0 || Object.is(x, -0) ? 2 * unit * 2 ** (exponentBits - 1) : 0;
  const magnitude = Math.abs(x);
  if (magnitude === Infinity) return sign + top * unit;
  if (magnitude === 0) return sign;
  const exponent = Math.max(exponentOf(magnitude), minExponent);
  // A subnormal number has the smallest exponent and no implicit bit, so its fraction comes out below `unit`.
  return sign + (exponent - minExponent) * unit + magnitude / 2 ** (exponent - precision + 1);
}

function decode({ precision, minExponent }: Binary, exponentBits: number, bits: number): number {
  const unit = 2 ** (precision - 1);
  const sign = bits >= unit * 2 ** exponentBits ? -1 : 1;
  const magnitude = bits % (unit * 2 ** exponentBits);
  const exponent = Math.floor(magnitude / unit);
  const fraction = magnitude % unit;
  if (exponent === 2 ** exponentBits - 1) return fraction ? Number.NaN : sign * Infinity;
  const significand = exponent === 0 ? fraction : fraction + unit;
  return sign * significand * 2 ** (Math.max(exponent - 1, 0) + minExponent - precision + 1);
}

/** The bits of the nearest bfloat16. */
export const bf16Bits = (x: number) => encode(BF16, 8, roundTo('bf16', x));
export const bf16Value = (bits: number) => decode(BF16, 8, bits);
/** The bits of the nearest half precision number. */
export const f16Bits = (x: number) => encode(F16, 5, roundTo('f16', x));
export const f16Value = (bits: number) => decode(F16, 5, bits);
