import { decodeElement, decodeElements, ELEMENT_BITS, ELEMENT_MAX, encodeElement } from './elements.js';
import { bf16Bits, bf16Value, exponentOf, f16Bits, f16Value, roundTo, roundToEven } from './float-bits.js';
import { elementOf, type ReferenceFormat, scaleExtent } from './format.js';

// The quantizers of the contract, one group at a time: float32 arithmetic by rounding the float64 result of every
// operation, codes by search among the values.

const { fround } = Math;
const FLT_MAX = (2 - 2 ** -23) * 2 ** 127;

/** A quantized matrix as it lies in memory. */
export interface ReferenceQuantized {
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  readonly zeroPoints?: Uint8Array | undefined;
  readonly globalScale?: number | undefined;
  /** One bit per element, 1 where abs(x / s) < 6; of the rule `quest`. */
  readonly clipMask?: Uint8Array | undefined;
}

/** Elements are multiplied by `multiplier` and rounded, then `zero` is added. */
interface GroupScale {
  readonly scale: number;
  readonly multiplier: number;
  readonly zero: number;
}

const DAMAGED: GroupScale = { scale: Number.NaN, multiplier: 0, zero: 0 };

const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);
const amaxOf = (x: readonly number[]) => x.reduce((amax, value) => Math.max(amax, Math.abs(value)), 0);

export interface ReferenceQuantizeOptions {
  /** Given instead of found. */
  globalScale?: number | undefined;
}

/** Quantizes x [rows, cols]. */
export function referenceQuantize(
  x: ArrayLike<number>,
  rows: number,
  cols: number,
  format: ReferenceFormat,
  options: ReferenceQuantizeOptions = {},
): ReferenceQuantized {
  const { height, width, scaleRows, scaleCols } = scaleExtent(format, rows, cols);
  const globalScale = options.globalScale ?? globalScaleOf(x, format);
  const codes = new Uint8Array(rows * cols);
  const clipMask = format.rule === 'quest' ? new Uint8Array((rows * cols) / 8) : undefined;
  const scales: number[] = [];
  const zeros: number[] = [];
  for (let r = 0; r < scaleRows; ++r) {
    for (let c = 0; c < scaleCols; ++c) {
      const indices: number[] = [];
      for (let row = r * height; row < Math.min((r + 1) * height, rows); ++row) {
        for (let col = c * width; col < (c + 1) * width; ++col) indices.push(row * cols + col);
      }
      const group = indices.map((i) => fround(x[i] as number));
      const damaged = !group.every(Number.isFinite);
      const found = damaged ? DAMAGED : groupScale(format, group, globalScale ?? 1);
      scales.push(found.scale);
      zeros.push(found.zero);
      if (damaged) continue;
      indices.forEach((index, i) => {
        const value = group[i] as number;
        codes[index] = encodeScaled(format, found, value);
        if (clipMask && Math.abs(fround(value / found.scale)) < 6) {
          clipMask[index >> 3] = (clipMask[index >> 3] as number) | (1 << (index & 7));
        }
      });
    }
  }
  return {
    codes: ELEMENT_BITS[elementOf(format)] === 4 ? pack(codes) : codes,
    scales: scaleBytes(format, scales),
    zeroPoints: format.zeroPoint ? Uint8Array.from(zeros) : undefined,
    globalScale,
    clipMask,
  };
}

/** The values that the codes stand for, in float64. */
export function referenceDequantize(
  q: ReferenceQuantized,
  rows: number,
  cols: number,
  format: ReferenceFormat,
): Float64Array {
  const { height, width, scaleCols } = scaleExtent(format, rows, cols);
  const element = elementOf(format);
  const codes = ELEMENT_BITS[element] === 4 ? unpack(q.codes) : q.codes;
  const values = decodeElements(element);
  const scales = scaleValues(format, q.scales);
  const zeros = q.zeroPoints && (element === 'int8' ? new Int8Array(q.zeroPoints) : q.zeroPoints);
  return Float64Array.from(codes, (code, i) => {
    const group = Math.floor(Math.floor(i / cols) / height) * scaleCols + Math.floor((i % cols) / width);
    const value = (values[code] as number) - (zeros?.[group] ?? 0);
    return (value * (scales[group] as number)) / (q.globalScale ?? 1);
  });
}

/** Two codes to a byte, the even one in the low half. */
export function pack(codes: ArrayLike<number>): Uint8Array {
  return Uint8Array.from(
    { length: codes.length / 2 },
    (_, i) => ((codes[2 * i] as number) % 16) + ((codes[2 * i + 1] as number) % 16) * 16,
  );
}

export function unpack(packed: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: packed.length * 2 }, (_, i) =>
    i % 2 === 0 ? (packed[i >> 1] as number) % 16 : (packed[i >> 1] as number) >> 4,
  );
}

function globalScaleOf(x: ArrayLike<number>, { rule }: ReferenceFormat): number | undefined {
  if (rule === 'abs_max') return 3;
  if (rule !== 'nv' && rule !== 'four_six') return undefined;
  let amax = 0;
  for (let i = 0; i < x.length; ++i) {
    const magnitude = Math.abs(fround(x[i] as number));
    if (magnitude > amax && magnitude <= FLT_MAX) amax = magnitude;
  }
  const top = (rule === 'nv' ? 448 : 256) * 6;
  return amax > 0 ? Math.min(fround(top / amax), FLT_MAX) : 1;
}

function groupScale(format: ReferenceFormat, group: readonly number[], globalScale: number): GroupScale {
  const amax = amaxOf(group);
  switch (format.rule) {
    case 'floor':
      return powerOfTwo(exponentOf(amax) - exponentOf(ELEMENT_MAX[format.element] as number));
    case 'rceil': {
      const quotient = fround(amax / (ELEMENT_MAX[format.element] as number));
      const exponent = exponentOf(quotient);
      const rounded = 2 ** exponent === quotient ? exponent : exponent + 1;
      // On the bits of a float32 number, all subnormal numbers round up to the smallest normal one.
      return powerOfTwo(quotient > 0 ? Math.max(rounded, -126) : rounded);
    }
    case 'abs_max':
      return powerOfTwo(exponentOf(fround(amax + fround(1e-8))), globalScale);
    case 'quest': {
      const mean = group.reduce((sum, value) => sum + value, 0) / group.length;
      const squares = group.reduce((sum, value) => sum + value * value, 0) / group.length;
      const deviation = Math.sqrt(Math.max(squares - mean * mean, 0));
      return powerOfTwo(exponentOf(fround((deviation * 2.92247856) / 6 + 1e-8)));
    }
    case 'nv':
      return nvScale(fround(amax / 6), globalScale);
    case 'four_six': {
      const six = nvScale(fround(amax / 6), globalScale);
      const four = nvScale(fround(amax / 4), globalScale);
      const error = (scale: GroupScale) => squaredError(format, scale, group, globalScale);
      return error(four) < error(six) ? four : six;
    }
    case 'amax':
      return format.zeroPoint ? asymmetric(format, group) : symmetric(format, amax);
  }
}

function powerOfTwo(exponent: number, globalScale = 1): GroupScale {
  const scale = 2 ** clamp(exponent, -127, 127);
  return { scale, multiplier: globalScale / scale, zero: 0 };
}

function nvScale(target: number, globalScale: number): GroupScale {
  const scale = decodeElement('e4m3', encodeElement('e4m3', fround(globalScale * target)));
  return { scale, multiplier: scale > 0 ? Math.min(fround(globalScale / scale), FLT_MAX) : 0, zero: 0 };
}

function squaredError(format: ReferenceFormat, scale: GroupScale, group: readonly number[], globalScale: number) {
  const unit = scale.scale / globalScale;
  return group.reduce((sum, value) => {
    const decoded = decodeElement('e2m1', encodeScaled(format, scale, value)) * unit;
    return sum + (value - decoded) ** 2;
  }, 0);
}

const LARGEST_SCALE = { f32: FLT_MAX, bf16: (2 - 2 ** -7) * 2 ** 127, f16: 65504 } as const;

/** The scale that is stored, and its reciprocal. One without a finite reciprocal becomes the smallest that has one. */
function storedScale({ scaleDType }: ReferenceFormat, exact: number, zero = (_: number) => 0): GroupScale {
  if (scaleDType === 'f8e8m0' || scaleDType === 'f8e4m3') throw new Error('amax scales are floats');
  let scale = Math.min(roundTo(scaleDType, exact), LARGEST_SCALE[scaleDType]);
  if (!Number.isFinite(fround(1 / scale))) scale = scaleDType === 'f16' ? 2 ** -24 : 2 ** -127;
  const multiplier = fround(1 / scale);
  return { scale, multiplier, zero: zero(multiplier) };
}

function symmetric(format: ReferenceFormat, amax: number): GroupScale {
  return storedScale(format, amax > 0 ? fround(amax / (ELEMENT_MAX[format.element] as number)) : 1);
}

function asymmetric(format: ReferenceFormat, group: readonly number[]): GroupScale {
  const low = group.reduce((least, value) => Math.min(least, value), 0);
  const high = group.reduce((most, value) => Math.max(most, value), 0);
  if (low === high) return { scale: 1, multiplier: 1, zero: 0 };
  const [lowest, steps] = format.element === 'int8' ? [-128, 255] : [0, 15];
  const range = fround(high - low);
  const step = Number.isFinite(range)
    ? fround(range / steps)
    : fround(fround(high / steps) - fround(low / steps));
  const zero = (multiplier: number) =>
    clamp(lowest - roundToEven(fround(low * multiplier)), lowest, lowest + steps);
  return storedScale(format, step, zero);
}

/** The code, one to a byte. */
function encodeScaled(format: ReferenceFormat, { multiplier, zero }: GroupScale, value: number): number {
  const element = elementOf(format);
  const scaled = fround(value * multiplier);
  if (!format.zeroPoint && element === 'int8') return (clamp(roundToEven(scaled), -127, 127) + 256) % 256;
  // An infinite product saturates; adding a zero point to a number this large is not exact, hence the clamp.
  return encodeElement(element, zero === 0 ? scaled : clamp(roundToEven(scaled), -1000, 1000) + zero);
}

function scaleBytes({ scaleDType }: ReferenceFormat, scales: readonly number[]): Uint8Array {
  switch (scaleDType) {
    case 'f8e8m0':
      return Uint8Array.from(scales, (scale) => (Number.isNaN(scale) ? 0xff : exponentOf(scale) + 127));
    case 'f8e4m3':
      return Uint8Array.from(scales, (scale) => (Number.isNaN(scale) ? 0x7f : encodeElement('e4m3', scale)));
    case 'f32':
      return new Uint8Array(Float32Array.from(scales).buffer);
    case 'bf16':
      return new Uint8Array(Uint16Array.from(scales, bf16Bits).buffer);
    case 'f16':
      return new Uint8Array(Uint16Array.from(scales, f16Bits).buffer);
  }
}

/** The values of scales from their bytes. */
function scaleValues({ scaleDType }: ReferenceFormat, bytes: Uint8Array): Float64Array {
  const copy = Uint8Array.from(bytes).buffer;
  switch (scaleDType) {
    case 'f8e8m0':
      return Float64Array.from(bytes, (byte) => decodeElement('e8m0', byte));
    case 'f8e4m3':
      return Float64Array.from(bytes, (byte) => decodeElement('e4m3', byte));
    case 'f32':
      return Float64Array.from(new Float32Array(copy));
    case 'bf16':
      return Float64Array.from(new Uint16Array(copy), bf16Value);
    case 'f16':
      return Float64Array.from(new Uint16Array(copy), f16Value);
  }
}
