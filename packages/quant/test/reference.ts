import { bf16Bits, bf16Value } from '@qutlass/test-support';
import { ELEMENTS, type Element, type Format, hasGlobalScale, scaleShape } from '../src/index.js';

// The contract of the quantizers, written a second time: float32 steps by Math.fround, nearest codes by search.

const f32 = Math.fround;

/** What a quantizer produces, unpacked: a code per element, scales as numbers. */
export interface ReferenceQuantized {
  codes: number[];
  scales: number[];
  zeroPoints: number[];
  globalScale: number;
  /** In float64. */
  values: number[];
}

/** The magnitudes of the non-negative codes of a float element, NaN and infinity left out. */
function magnitudes(exponentBits: number, mantissaBits: number, bias: number, count: number): number[] {
  return Array.from({ length: count }, (_, code) => {
    const exponent = code >> mantissaBits;
    const mantissa = (code & ((1 << mantissaBits) - 1)) / 2 ** mantissaBits;
    if (exponent >= 2 ** exponentBits) throw new Error(`code ${code} is too large`);
    return exponent === 0 ? mantissa * 2 ** (1 - bias) : (1 + mantissa) * 2 ** (exponent - bias);
  });
}

const MAGNITUDES: Partial<Record<Element, number[]>> = {
  e2m1: magnitudes(2, 1, 1, 8),
  e4m3: magnitudes(4, 3, 7, 127),
  e5m2: magnitudes(5, 2, 15, 124),
};

// QLoRA, appendix E.
const NF4 = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** Index of the nearest value; a tie goes to the even index. */
function nearest(values: readonly number[], x: number): number {
  let best = 0;
  for (const [i, value] of values.entries()) {
    const [distance, least] = [Math.abs(value - x), Math.abs(values[best]! - x)];
    if (distance < least || (distance === least && i % 2 === 0)) best = i;
  }
  return best;
}

/** The nearest integer, ties to even; never -0. */
export function roundToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x) + 0;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** 16 random bits for an element to be rounded stochastically with, or none: to nearest. */
export type RandomBits = number | undefined;

/** (bits + 1/2) / 2^16: above 1 - f with probability f. */
const fraction = (bits: number) => (bits + 0.5) / 65536;

/** Index of one of the two values beside x, the upper one with the probability of its nearness. */
function stochastic(element: Element, values: readonly number[], x: number, bits: number): number {
  const above = values.findIndex((value) => value > x);
  if (above < 0) return values.length - 1;
  const [low, high] = [values[above - 1]!, values[above]!];
  // Subnormal numbers keep as many bits as the smallest normal one has.
  const normal = values[{ e2m1: 2, e4m3: 8, e5m2: 4 }[element as 'e2m1' | 'e4m3' | 'e5m2']]!;
  const exact = x < normal ? f32(x + normal) - normal : x;
  return (exact - low) / (high - low) + fraction(bits) >= 1 ? above : above - 1;
}

function stochasticNf4(values: readonly number[], x: number, bits: number): number {
  const beyond = (value: number, i: number) =>
    x > f32(value + f32(f32(fraction(bits)) * f32(values[i + 1]! - value)));
  return values.slice(0, -1).filter(beyond).length;
}

const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

function encodeElement(element: Element, x: number, random?: RandomBits): number {
  const table = MAGNITUDES[element];
  if (table) {
    const sign = x < 0 || Object.is(x, -0) ? (element === 'e2m1' ? 8 : 128) : 0;
    const magnitude = Math.min(Math.abs(x), table.at(-1)!);
    return (
      sign +
      (random === undefined ? nearest(table, magnitude) : stochastic(element, table, magnitude, random))
    );
  }
  const values = NF4.map(f32);
  return random === undefined ? nearest(values, x) : stochasticNf4(values, x, random);
}

function decodeElement(element: Element, code: number): number {
  if (element === 'nf4') return f32(NF4[code]!);
  const table = MAGNITUDES[element]!;
  const signBit = element === 'e2m1' ? 8 : 128;
  return (code & signBit ? -1 : 1) * table[code & (signBit - 1)]!;
}

const exponentOf = (x: number) => (x === 0 ? -127 : Math.max(Math.floor(Math.log2(x)), -127));
const e8m0 = (byte: number) => 2 ** (byte - 127);
const e4m3 = (x: number) => decodeElement('e4m3', encodeElement('e4m3', x));

/** Quantizes one group. */
function quantizeGroup(format: Format, x: readonly number[], g: number, random?: readonly number[]) {
  const { element } = format;
  const amax = Math.max(...x.map(Math.abs));
  const max = ELEMENTS[element].max;
  const floatsWith =
    (bits?: readonly number[]): Floats =>
    (scale, multiplier, divisor) => {
      const codes = x.map((v, i) => encodeElement(element, multiplier(v), bits?.[i]));
      return {
        codes,
        scale,
        zeroPoint: 0,
        values: codes.map((code) => (decodeElement(element, code) * scale) / divisor),
      };
    };
  const floats = floatsWith(random);
  switch (format.rule) {
    case 'floor':
    case 'rceil': {
      const emax = { e2m1: 2, e4m3: 8, e5m2: 15 }[element as 'e2m1' | 'e4m3' | 'e5m2'];
      const ratio = f32(amax / max);
      const ceiling = exponentOf(ratio) + (ratio === 2 ** exponentOf(ratio) || ratio === 0 ? 0 : 1);
      const byte = clamp((format.rule === 'floor' ? exponentOf(amax) - emax : ceiling) + 127, 0, 254);
      return floats(e8m0(byte), (v) => f32(v / e8m0(byte)), 1);
    }
    case 'abs_max': {
      const scale = e8m0(exponentOf(f32(amax + f32(1e-8))) + 127);
      return floats(scale, (v) => f32(f32(v / scale) * 3), g);
    }
    case 'quest': {
      const mean = x.reduce((a, b) => a + b, 0) / x.length;
      const square = x.reduce((a, b) => a + b * b, 0) / x.length;
      const scale = 2 ** exponentOf(f32(Math.sqrt(square - mean * mean) * (2.92247856 / 6) + 1e-8));
      return floats(scale, (v) => f32(v / scale), 1);
    }
    case 'nv':
      return nvGroup(floats, g, amax, 6);
    case 'four_six': {
      // By the errors of the nearest codes, however elements are rounded then.
      const error = (top: number) =>
        nvGroup(floatsWith(), g, amax, top).values.reduce((sum, v, i) => sum + (v - x[i]!) ** 2, 0);
      return nvGroup(floats, g, amax, error(4) < error(6) ? 4 : 6);
    }
    default:
      return element === 'nf4' || MAGNITUDES[element]
        ? amaxFloat(format, floats, amax, max)
        : integerGroup(format, x, amax, random);
  }
}

type Floats = (
  scale: number,
  multiplier: (v: number) => number,
  divisor: number,
) => ReturnType<typeof integerGroup>;

function nvGroup(floats: Floats, g: number, amax: number, top: number) {
  const scale = e4m3(f32(g * f32(amax / top)));
  const ratio = scale > 0 ? f32(g / scale) : 0;
  return floats(scale, (v) => f32(v * ratio), g);
}

function roundScale(format: Format, scale: number): number {
  if (format.scaleDType === 'bf16') return bf16Value(bf16Bits(scale));
  if (format.scaleDType === 'f16') return f16Value(scale);
  return f32(scale);
}

/** The nearest normal or subnormal f16, for numbers far from its limits. */
function f16Value(x: number): number {
  const quantum = 2 ** (Math.max(Math.floor(Math.log2(x)), -14) - 10);
  return roundToEven(x / quantum) * quantum;
}

function amaxFloat(format: Format, floats: Floats, amax: number, max: number) {
  const scale = amax === 0 ? 1 : roundScale(format, f32(amax / max));
  const reciprocal = f32(1 / scale);
  return floats(scale, (v) => f32(v * reciprocal), 1);
}

function integerGroup(format: Format, x: readonly number[], amax: number, random?: readonly number[]) {
  const eight = format.element === 'int8';
  const round = (v: number, i: number) => roundToEven(random ? f32(v + (fraction(random[i]!) - 0.5)) : v);
  if (!format.zeroPoint) {
    const scale = amax === 0 ? 1 : roundScale(format, f32(amax / (eight ? 127 : 7)));
    const reciprocal = f32(1 / scale);
    const [low, high] = eight ? [-127, 127] : [-8, 7];
    const q = x.map((v, i) => clamp(round(f32(v * reciprocal), i), low!, high!));
    const mask = eight ? 0xff : 15;
    return {
      codes: q.map((code) => code & mask),
      scale,
      zeroPoint: 0,
      values: q.map((code) => code * scale),
    };
  }
  const low = Math.min(...x, 0);
  const high = Math.max(...x, 0);
  const range = f32(high - low);
  const scale = range === 0 ? 1 : roundScale(format, f32(range / (eight ? 255 : 15)));
  const reciprocal = f32(1 / scale);
  const [qMin, qMax] = eight ? [-128, 127] : [0, 15];
  const scaledLow = roundToEven(f32(low * reciprocal));
  const zeroPoint = range === 0 ? 0 : clamp(qMin! - scaledLow, qMin!, qMax!);
  const q = x.map((v, i) => clamp(round(f32(v * reciprocal), i) + zeroPoint, qMin!, qMax!));
  return {
    codes: q.map((code) => code & (eight ? 0xff : 15)),
    scale,
    zeroPoint,
    values: q.map((code) => (code - zeroPoint) * scale),
  };
}

/** Quantizes a finite matrix [rows, cols] of float32 values; stochastically with the random bits of its elements. */
export function quantizeReference(
  x: ArrayLike<number>,
  rows: number,
  cols: number,
  format: Format,
  random?: ArrayLike<number>,
): ReferenceQuantized {
  const [scaleRows, scaleCols] = scaleShape(format, rows, cols);
  const height = format.groupRows === 'all' ? rows : format.groupRows;
  const width = format.groupCols === 'all' ? cols : format.groupCols;
  const amax = Array.from(x).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const target = format.rule === 'four_six' ? 256 * 6 : 448 * 6;
  const g = format.rule === 'abs_max' ? 3 : hasGlobalScale(format) && amax > 0 ? f32(target / amax) : 1;
  const out: ReferenceQuantized = {
    codes: new Array(rows * cols),
    scales: [],
    zeroPoints: [],
    globalScale: g,
    values: new Array(rows * cols),
  };
  for (let r = 0; r < scaleRows; ++r) {
    for (let c = 0; c < scaleCols; ++c) {
      const indices: number[] = [];
      for (let row = r * height; row < Math.min((r + 1) * height, rows); ++row) {
        for (let col = c * width; col < (c + 1) * width; ++col) indices.push(row * cols + col);
      }
      const group = quantizeGroup(
        format,
        indices.map((i) => x[i]!),
        g,
        random && indices.map((i) => random[i]!),
      );
      out.scales.push(group.scale);
      out.zeroPoints.push(group.zeroPoint);
      for (const [i, index] of indices.entries()) {
        out.codes[index] = group.codes[i]!;
        out.values[index] = group.values[i]!;
      }
    }
  }
  return out;
}
