import { bytesOf, input, type OperandSpec } from '@qutlass/test-support';
import { nativeFormat } from '../src/format.js';
import {
  codeDType,
  ELEMENTS,
  type FloatDType,
  type Format,
  loadBinding,
  type Rotation,
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
