import type { FloatDType } from '@qutlass/core-kernels';
import type { FormatKind } from '@qutlass/quant';
import { ARCHITECTURES, type Architecture, type Precision } from './architecture.js';
import { FORMAT_PAIRS } from './pairs.js';

/** What an operand holds, as far as arithmetic is concerned. */
export type OperandKind = FloatDType | FormatKind;

/** How the values of A and B are multiplied on an architecture. */
export interface PairPrecision {
  readonly precision: Precision;
  /** Whether there is an instruction for this very pair, scales of groups included. */
  readonly native: boolean;
  /** Products of `precision` for one product of values: more than 1 where values are split into parts. */
  readonly products: number;
}

/** A pair on every architecture. */
export interface PrecisionRow {
  readonly a: OperandKind;
  readonly b: OperandKind;
  readonly on: Readonly<Record<Architecture, PairPrecision>>;
}

const BLACKWELL: readonly Architecture[] = ['sm_100', 'sm_103', 'sm_120', 'sm_121'];

/**
 * Instructions that take a pair as it is (PTX ISA 9.0: mma, wgmma, tcgen05.mma). fp8 by `mma` on sm_89 and sm_120, by
 * `wgmma` on sm_90, by `tcgen05` on sm_100; block scales since Blackwell; int4 until Ada. `mma` on fp8 assembles for sm_90
 * and on int4 for all, but is emulated there.
 */
const NATIVE: readonly {
  readonly pairs: readonly `${OperandKind}:${OperandKind}`[];
  readonly precision: Precision;
  readonly on: readonly Architecture[];
}[] = [
  { pairs: ['f32:f32'], precision: 'f32', on: ['x64'] },
  { pairs: ['f16:f16'], precision: 'f16', on: gpus() },
  { pairs: ['bf16:bf16'], precision: 'bf16', on: gpus('sm_80') },
  { pairs: ['fp8:fp8'], precision: 'fp8', on: gpus('sm_89') },
  { pairs: ['mxfp8:mxfp8', 'mxfp8:mxfp4', 'mxfp4:mxfp8'], precision: 'fp8', on: BLACKWELL },
  { pairs: ['mxfp4:mxfp4', 'nvfp4:nvfp4'], precision: 'fp4', on: BLACKWELL },
  { pairs: ['int8:int8'], precision: 'int8', on: ARCHITECTURES },
  { pairs: ['int4:int4'], precision: 'int4', on: ['sm_75', 'sm_80', 'sm_86', 'sm_89'] },
];

function gpus(from: Architecture = 'sm_75'): readonly Architecture[] {
  return ARCHITECTURES.slice(ARCHITECTURES.indexOf(from));
}

/** The fastest way that the units of an architecture offer to multiply a pair within the error bound of the library. */
export function precisionOf(a: OperandKind, b: OperandKind, architecture: Architecture): PairPrecision {
  const native = NATIVE.find(
    ({ pairs, on }) => pairs.includes(`${a}:${b}`) && on.includes(architecture),
  )?.precision;
  if (native) return { precision: native, native: true, products: 1 };
  const precision = expandedTo(a, b, architecture);
  return { precision, native: false, products: productsIn(precision, a, b) };
}

/** The precision that codes are widened to, exactly, or values are split into. */
function expandedTo(a: OperandKind, b: OperandKind, architecture: Architecture): Precision {
  if (isInteger(a) && isInteger(b)) return 'int8';
  if (architecture === 'x64') return 'f32';
  // Of codes only those of nf4 are no 16-bit floats. sm_75 has no bf16; where f16 may overflow, f32 units are left.
  const half = (x: OperandKind) => x === 'f16' || !['f32', 'bf16', 'nf4'].includes(x);
  if (half(a) && half(b) && (a === 'f16' || b === 'f16' || architecture === 'sm_75')) return 'f16';
  return architecture === 'sm_75' ? 'f32' : 'bf16';
}

/** Products of a precision that one product of values takes; the values of the operands are not rounded. */
export function productsIn(precision: Precision, a: OperandKind, b: OperandKind): number {
  if (precision !== 'bf16') return 1;
  // Three parts of one and two of the other operand, without the product that is below the bound.
  if (a === 'f32' && b === 'f32') return 5;
  return bf16Parts(a) * bf16Parts(b);
}

/** Numbers of bf16 that add up to a value, to 2^-17: codes are one, but for those of nf4. */
function bf16Parts(operand: OperandKind): number {
  return operand === 'f32' || operand === 'f16' || operand === 'nf4' ? 2 : 1;
}

function isInteger(operand: OperandKind): boolean {
  return operand === 'int8' || operand === 'int4';
}

const FORMAT_KINDS = Object.keys(FORMAT_PAIRS) as readonly FormatKind[];

/** Dense pairs, weights of every format under bf16 activations, and the pairs of formats. */
const PAIRS: readonly (readonly [OperandKind, OperandKind])[] = [
  ...(['f32', 'f16', 'bf16'] as const).map((dtype) => [dtype, dtype] as const),
  ...FORMAT_KINDS.map((kind) => ['bf16', kind] as const),
  ...FORMAT_KINDS.flatMap((a) => FORMAT_PAIRS[a].map((b) => [a, b] as const)),
];

/** Which pairs run natively on which architecture, and as what they run otherwise. Plain data. */
export const PRECISION_MATRIX: readonly PrecisionRow[] = PAIRS.map(([a, b]) => ({
  a,
  b,
  on: Object.fromEntries(
    ARCHITECTURES.map((architecture) => [architecture, precisionOf(a, b, architecture)]),
  ) as Record<Architecture, PairPrecision>,
}));

/** The matrix as a table in Markdown; a precision in parentheses is not native. */
export function precisionTable(matrix: readonly PrecisionRow[] = PRECISION_MATRIX): string {
  const cell = ({ precision, native, products }: PairPrecision) => {
    const text = products === 1 ? precision : `${products} x ${precision}`;
    return native ? text : `(${text})`;
  };
  const rows = [
    ['A', 'B', ...ARCHITECTURES],
    ...matrix.map(({ a, b, on }) => [a, b, ...ARCHITECTURES.map((architecture) => cell(on[architecture]))]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((text, column) => text.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join('\n');
}
