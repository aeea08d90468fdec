import { bytesOf, type Comparison, input, type OperandSpec, Random, valuesOf } from '@qutlass/test-support';
import { nativeFormat } from '../src/format.js';
import {
  codeDType,
  DTYPES,
  ELEMENTS,
  type FloatDType,
  type Format,
  hasGlobalScale,
  loadBinding,
  type Rotation,
  rotation,
  scaleShape,
  type Tensor,
} from '../src/index.js';
import { blockedSize, SCALE_LAYOUTS, type ScaleLayout } from '../src/scales.js';

// Quantized matrices as operands of the checks of operations.

export const FLOATS = ['f32', 'bf16', 'f16'] as const;

/** Whether kernels may sum a rotation in another order than the CPU: on tensor cores. */
export const sumsInAnyOrder = ({ kind, size }: Rotation) =>
  kind === 'matrix' || (kind === 'hadamard' && size >= 16 && size <= 256);

/** A matrix in a dense dtype, off its alignment by `offset` elements. */
export const floats = (dtype: FloatDType, shape: readonly number[], values: ArrayLike<number>, offset = 0) =>
  input(dtype, shape, bytesOf(dtype, values), offset);

export interface Extent {
  readonly rows: number;
  readonly cols: number;
  readonly layout?: ScaleLayout;
}

/** The parts of a quantized matrix as operands, by the function that makes each. */
export function partsOf(
  format: Format,
  { rows, cols, layout = 'row' }: Extent,
  make: (part: string, dtype: string, shape: number[]) => OperandSpec,
): Readonly<Record<string, OperandSpec>> {
  const [r, g] = scaleShape(format, rows, cols);
  const width = ELEMENTS[format.element].bits === 4 ? cols / 2 : cols;
  return {
    codes: make('codes', codeDType(format), [rows, width]),
    scales: make('scales', format.scaleDType, layout === 'row' ? [r, g] : [blockedSize(r, g)]),
    ...(format.zeroPoint && {
      zeroPoints: make('zeroPoints', format.element === 'int8' ? 'i8' : 'u8', [r, g]),
    }),
    ...(format.rule === 'quest' && { clipMask: make('clipMask', 'u8', [rows, cols / 8]) }),
  };
}

export type Parts = Readonly<Record<string, Tensor>>;

/** The parts as the binding takes them. */
export function quantizedHandle(format: Format, { rows, cols, layout = 'row' }: Extent, parts: Parts) {
  return loadBinding().quantizedCreate(
    nativeFormat(format),
    rows,
    cols,
    parts.codes!.handle,
    parts.scales!.handle,
    parts.zeroPoints?.handle ?? null,
    parts.globalScale?.handle ?? null,
    parts.clipMask?.handle ?? null,
    SCALE_LAYOUTS[layout],
    null,
  );
}

// ---- contents

export const random = new Random(7);

export const randomBytes = (count: number) =>
  Uint8Array.from({ length: count }, () => random.integer(0, 255));

const each = (change: (x: number) => number) => (row: Float32Array) => row.set(row.map(change));

/** What becomes of a row of normal numbers, in turn. */
const KINDS: readonly ((row: Float32Array) => void)[] = [
  () => {},
  each(() => 0),
  each((x) => x * 1e-39),
  each((x) => x * 1e37),
  (row) => row.fill(Number.NaN, row.length >> 1, (row.length >> 1) + 1),
  (row) => row.fill(-Infinity, 3, 4),
  each(() => 3),
  (row) => row.set(new Float32Array(randomBytes(4 * row.length).buffer)),
  (row) => row.fill(1000, 7, 8),
  each((x) => Math.abs(x) + 1),
  each((x) => -Math.abs(x)),
  // Ties.
  each((x) => Math.round(x * 4) / 8),
  each((x) => x * 1e-30),
];

/** Rows of every kind: zeros, subnormal and huge numbers, NaN, infinity, any bits, outliers, one sign, ties. */
export function everyKind(rows: number, cols: number): Float32Array {
  const values = random.normals(rows * cols);
  for (let row = 0; row < rows; ++row) {
    KINDS[row % KINDS.length]!(values.subarray(row * cols, (row + 1) * cols));
  }
  return values;
}

/** Close to orthogonal, so that rotated elements are of the size of the others. */
export const randomMatrix = (size: number) => rotation(random.normals(size * size, size ** -0.5), size);

// ---- scales and comparisons

/** A global scale as it would be of normal numbers, for formats that have one. */
export function globalScaleOf(
  format: Format,
  value = { abs_max: 3, nv: 2688 / 4.5 }[format.rule as 'nv'] ?? 1536 / 4.5,
) {
  return hasGlobalScale(format) ? { globalScale: input('f32', [1], bytesOf('f32', [value])) } : {};
}

export const hasByteScales = (format: Format) => DTYPES[format.scaleDType].bytes === 1;

/** At most 1e-4 of the codes differ, and what follows from the rounding of sums: scales by as much, or by a step. */
export function rotatedComparisons(format: Format): Readonly<Record<string, Comparison>> {
  const count = (differ: (i: number) => boolean, length: number) =>
    Array.from({ length }, (_, i) => i).filter(differ).length;
  const few = (differences: number, of: number, share: number) =>
    differences <= 2 + of * share ? undefined : `${differences} of ${of} differ from the CPU`;
  const bytes: Comparison = (a, b) =>
    few(
      count((i) => a[i] !== b[i], a.length),
      a.length,
      1 / 500,
    );
  return {
    codes: (a, b) => {
      const nibbles = ELEMENTS[format.element].bits === 4 ? 2 : 1;
      const code = (x: Uint8Array, i: number) => (nibbles === 1 ? x[i]! : (x[i >> 1]! >> (4 * (i & 1))) & 15);
      const of = a.length * nibbles;
      return few(
        count((i) => code(a, i) !== code(b, i), of),
        of,
        1e-4,
      );
    },
    scales: (a, b) => {
      if (hasByteScales(format)) return bytes(a, b);
      const [x, y] = [valuesOf(format.scaleDType, a), valuesOf(format.scaleDType, b)];
      const tolerance = format.scaleDType === 'f32' ? 1e-4 : 1e-2;
      const near = (a: number, b: number) => Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.abs(a);
      const far = count((i) => !near(x[i]!, y[i]!), x.length);
      return far === 0 ? undefined : `${far} scales differ from the CPU`;
    },
    zeroPoints: bytes,
    clipMask: bytes,
  };
}
