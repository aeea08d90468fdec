import { DTYPES, invalidArgument } from '@qutlass/core-kernels';
import { ELEMENTS, type Element } from './element.js';

export type FormatKind = 'mxfp4' | 'mxfp8' | 'nvfp4' | 'fp8' | 'int8' | 'int4' | 'nf4';

/** How the scale of a group is found; the numbers are those of `qutlass_rule`. */
export const RULES = {
  amax: 0,
  floor: 1,
  rceil: 2,
  abs_max: 3,
  quest: 4,
  nv: 5,
  four_six: 6,
} as const;

export type Rule = keyof typeof RULES;
export type ScaleDType = 'f8e8m0' | 'f8e4m3' | 'f32' | 'bf16' | 'f16';

/**
 * A number format as a value: everything that quantizers, kernels and loaders need to know of it. The value of a code is
 * `(decode(code) - zeroPoint) * scale / globalScale`. Make one with {@link nvfp4}, {@link int4} and so on.
 */
export interface Format<K extends FormatKind = FormatKind> {
  readonly kind: K;
  /** Unique and stable, for tables and command lines: `nvfp4`, `int4-g128-asym`. */
  readonly name: string;
  readonly element: Element;
  readonly scaleDType: ScaleDType;
  readonly rule: Rule;
  /** Rows that share a scale; `all` for one scale per tensor. */
  readonly groupRows: number | 'all';
  /** Elements along K that share a scale; `all` for the whole row. */
  readonly groupCols: number | 'all';
  readonly zeroPoint: boolean;
}

export type MxFp4 = Format<'mxfp4'>;
export type MxFp8 = Format<'mxfp8'>;
export type NvFp4 = Format<'nvfp4'>;
export type Fp8 = Format<'fp8'>;
export type Int8 = Format<'int8'>;
export type Int4 = Format<'int4'>;
export type Nf4 = Format<'nf4'>;

function define<K extends FormatKind>(format: Format<K>): Format<K> {
  return Object.freeze(format);
}

function requireOneOf<T>(name: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) {
    throw invalidArgument('QUTLASS_E_FORMAT', name, allowed.join(' or '), String(value));
  }
  return value;
}

const suffix = (...parts: readonly (string | false)[]) =>
  parts
    .filter(Boolean)
    .map((part) => `-${part}`)
    .join('');

export interface MxFp4Options {
  /** `floor` (OCP MX 1.0, the default), `rceil` (NVIDIA), `abs_max` or `quest` (QuTLASS). */
  scale?: 'floor' | 'rceil' | 'abs_max' | 'quest';
}

/** MXFP4: e2m1 in groups of 32 under an e8m0 scale (OCP Microscaling 1.0). 4.25 bits per element. */
export function mxfp4({ scale = 'floor' }: MxFp4Options = {}): MxFp4 {
  requireOneOf('scale', scale, ['floor', 'rceil', 'abs_max', 'quest']);
  return define({
    kind: 'mxfp4',
    name: `mxfp4${suffix(scale !== 'floor' && scale)}`,
    element: 'e2m1',
    scaleDType: 'f8e8m0',
    rule: scale,
    groupRows: 1,
    groupCols: 32,
    zeroPoint: false,
  });
}

export interface MxFp8Options {
  element?: 'e4m3' | 'e5m2';
  /** `floor` (OCP MX 1.0, the default) or `rceil` (NVIDIA). */
  scale?: 'floor' | 'rceil';
}

/** MXFP8: e4m3 or e5m2 in groups of 32 under an e8m0 scale (OCP Microscaling 1.0). 8.25 bits per element. */
export function mxfp8({ element = 'e4m3', scale = 'floor' }: MxFp8Options = {}): MxFp8 {
  requireOneOf('element', element, ['e4m3', 'e5m2']);
  requireOneOf('scale', scale, ['floor', 'rceil']);
  return define({
    kind: 'mxfp8',
    name: `mxfp8${suffix(element !== 'e4m3' && element, scale !== 'floor' && scale)}`,
    element,
    scaleDType: 'f8e8m0',
    rule: scale,
    groupRows: 1,
    groupCols: 32,
    zeroPoint: false,
  });
}

export interface NvFp4Options {
  /** Map each group to 6 or to 4, whichever has the smaller squared error ("four over six"). Default false. */
  fourSix?: boolean;
}

/** NVFP4: e2m1 in groups of 16 under an e4m3 scale, under one float32 scale per tensor. 4.5 bits per element. */
export function nvfp4({ fourSix = false }: NvFp4Options = {}): NvFp4 {
  return define({
    kind: 'nvfp4',
    name: `nvfp4${suffix(fourSix && '4over6')}`,
    element: 'e2m1',
    scaleDType: 'f8e4m3',
    rule: fourSix ? 'four_six' : 'nv',
    groupRows: 1,
    groupCols: 16,
    zeroPoint: false,
  });
}

export interface Fp8Options {
  element?: 'e4m3' | 'e5m2';
  /** What shares a scale: the tensor, a row (the default), 128 elements of a row, or a square of 128 x 128. */
  granularity?: 'tensor' | 'row' | '1x128' | '128x128';
}

/** FP8 under float32 scales. */
export function fp8({ element = 'e4m3', granularity = 'row' }: Fp8Options = {}): Fp8 {
  requireOneOf('element', element, ['e4m3', 'e5m2']);
  requireOneOf('granularity', granularity, ['tensor', 'row', '1x128', '128x128']);
  return define({
    kind: 'fp8',
    name: `fp8${suffix(element !== 'e4m3' && element, granularity)}`,
    element,
    scaleDType: 'f32',
    rule: 'amax',
    groupRows: granularity === 'tensor' ? 'all' : granularity === '128x128' ? 128 : 1,
    groupCols: granularity === 'tensor' || granularity === 'row' ? 'all' : 128,
    zeroPoint: false,
  });
}

export interface Int8Options {
  granularity?: 'tensor' | 'row';
  /** Asymmetric: the range includes 0, codes are -128..127. Default false: codes are -127..127. */
  zeroPoint?: boolean;
}

/** INT8 under float32 scales. */
export function int8({ granularity = 'row', zeroPoint = false }: Int8Options = {}): Int8 {
  requireOneOf('granularity', granularity, ['tensor', 'row']);
  return define({
    kind: 'int8',
    name: `int8${suffix(granularity, zeroPoint && 'asym')}`,
    element: 'int8',
    scaleDType: 'f32',
    rule: 'amax',
    groupRows: granularity === 'tensor' ? 'all' : 1,
    groupCols: 'all',
    zeroPoint,
  });
}

export interface Int4Options {
  /** Elements along K that share a scale; default 128. */
  group?: 32 | 64 | 128 | 'row';
  /** Unsigned codes 0..15 with a zero point. Default false: codes are -8..7. */
  zeroPoint?: boolean;
  /** Default f32. */
  scale?: 'f32' | 'bf16' | 'f16';
}

/** INT4 in groups along K. */
export function int4({ group = 128, zeroPoint = false, scale = 'f32' }: Int4Options = {}): Int4 {
  requireOneOf('group', group, [32, 64, 128, 'row']);
  requireOneOf('scale', scale, ['f32', 'bf16', 'f16']);
  return define({
    kind: 'int4',
    name: `int4${suffix(group === 'row' ? 'row' : `g${group}`, zeroPoint && 'asym', scale !== 'f32' && scale)}`,
    element: zeroPoint ? 'uint4' : 'int4',
    scaleDType: scale,
    rule: 'amax',
    groupRows: 1,
    groupCols: group === 'row' ? 'all' : group,
    zeroPoint,
  });
}

export interface Nf4Options {
  /** Elements along K that share a scale; default 64. */
  group?: 32 | 64 | 128;
}

/** NF4 (QLoRA): 16 quantiles of the normal distribution under a float32 scale per group. */
export function nf4({ group = 64 }: Nf4Options = {}): Nf4 {
  requireOneOf('group', group, [32, 64, 128]);
  return define({
    kind: 'nf4',
    name: `nf4${suffix(group !== 64 && `g${group}`)}`,
    element: 'nf4',
    scaleDType: 'f32',
    rule: 'amax',
    groupRows: 1,
    groupCols: group,
    zeroPoint: false,
  });
}

/** Every format, in the order of falling precision within its kind. */
export const FORMATS: readonly Format[] = Object.freeze([
  int8(),
  int8({ zeroPoint: true }),
  int8({ granularity: 'tensor' }),
  int8({ granularity: 'tensor', zeroPoint: true }),
  ...(['e4m3', 'e5m2'] as const).flatMap((element) =>
    (['row', 'tensor', '1x128', '128x128'] as const).map((granularity) => fp8({ element, granularity })),
  ),
  mxfp8({ scale: 'rceil' }),
  mxfp8(),
  mxfp8({ element: 'e5m2', scale: 'rceil' }),
  mxfp8({ element: 'e5m2' }),
  ...(['f32', 'bf16', 'f16'] as const).flatMap((scale) =>
    ([32, 64, 128, 'row'] as const).flatMap((group) => [
      int4({ group, zeroPoint: true, scale }),
      int4({ group, scale }),
    ]),
  ),
  nf4({ group: 32 }),
  nf4(),
  nf4({ group: 128 }),
  nvfp4({ fourSix: true }),
  nvfp4(),
  ...(['rceil', 'floor', 'abs_max', 'quest'] as const).map((scale) => mxfp4({ scale })),
]);

/**
 * The format of this name; the short names `fp8`, `int8` and `int4` stand for the defaults.
 * @throws QutlassError `QUTLASS_E_FORMAT` listing the names that there are
 */
export function formatByName(name: string): Format {
  const short: Record<string, Format> = { fp8: fp8(), int8: int8(), int4: int4() };
  const format = Object.hasOwn(short, name)
    ? short[name]
    : FORMATS.find((candidate) => candidate.name === name);
  if (!format) {
    const names = FORMATS.map((candidate) => candidate.name).join(', ');
    throw invalidArgument('QUTLASS_E_FORMAT', 'format', `one of ${names}`, JSON.stringify(name));
  }
  return format;
}

/** Whether a quantized tensor of the format carries a global scale. */
export function hasGlobalScale(format: Format): boolean {
  return format.rule === 'nv' || format.rule === 'four_six' || format.rule === 'abs_max';
}

/** The extent [rows, groups] of the scales of a matrix [rows, cols]. */
export function scaleShape(format: Format, rows: number, cols: number): [number, number] {
  const { groupRows, groupCols } = format;
  return [
    groupRows === 'all' ? 1 : Math.ceil(rows / groupRows),
    groupCols === 'all' ? 1 : Math.ceil(cols / groupCols),
  ];
}

/** The smallest multiple of the group, and of what packing and rotation ask for, that holds K elements. */
export function paddedCols(format: Format, cols: number, rotationSize = 1): number {
  const group = format.groupCols === 'all' ? 1 : format.groupCols;
  const step = leastCommonMultiple(
    leastCommonMultiple(group, rotationSize),
    ELEMENTS[format.element].bits === 4 ? 2 : 1,
  );
  return Math.ceil(cols / step) * step;
}

/** Bits per element of a matrix [rows, cols] in the format, scales, zero points and global scale included. */
export function bitsPerElement(format: Format, rows: number, cols: number): number {
  const [r, g] = scaleShape(format, rows, cols);
  const perGroup = DTYPES[format.scaleDType].bytes * 8 + (format.zeroPoint ? 8 : 0);
  return (
    ELEMENTS[format.element].bits + (r * g * perGroup + (hasGlobalScale(format) ? 32 : 0)) / (rows * cols)
  );
}

const nativeFormats = new WeakMap<Format, Int32Array>();

/** The fields of `qutlass_format`, as the binding takes them: for code that adds operations. */
export function nativeFormat(format: Format): Int32Array {
  let fields = nativeFormats.get(format);
  if (!fields) {
    fields = Int32Array.of(
      ELEMENTS[format.element].id,
      DTYPES[format.scaleDType].id,
      RULES[format.rule],
      format.groupRows === 'all' ? 0 : format.groupRows,
      format.groupCols === 'all' ? 0 : format.groupCols,
      format.zeroPoint ? 1 : 0,
    );
    nativeFormats.set(format, fields);
  }
  return fields;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y) [x, y] = [y, x % y];
  return (a / x) * b;
}
