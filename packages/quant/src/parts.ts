import { DTYPES, type DType, invalidArgument, shapeText, type Tensor } from '@qutlass/core-kernels';
import { ELEMENTS } from './element.js';
import { type Format, hasGlobalScale, scaleShape } from './format.js';
import { blockedSize, type ScaleLayout } from './scales.js';

/** What a quantized matrix may consist of, in the order of the native binding. */
export const PARTS = ['codes', 'scales', 'zeroPoints', 'globalScale', 'clipMask'] as const;
export type PartName = (typeof PARTS)[number];

/** The dtype of codes in memory. */
export type CodeDType = 'u8' | 'i8' | 'f8e4m3' | 'f8e5m2';

/** The dtype that codes of the format have in memory. */
export function codeDType(format: Format): CodeDType {
  if (ELEMENTS[format.element].bits === 4) return 'u8';
  return format.element === 'int8' ? 'i8' : format.element === 'e5m2' ? 'f8e5m2' : 'f8e4m3';
}

export interface PartSpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A matrix [rows, cols] of a format, before there is any memory. */
export interface MatrixSpec {
  readonly format: Format;
  readonly rows: number;
  readonly cols: number;
  readonly scaleLayout: ScaleLayout;
}

/** What a part of the matrix is in memory; undefined if its format has none. Any matrix may have a clip mask. */
export function partSpec(
  { format, rows, cols, scaleLayout }: MatrixSpec,
  name: PartName,
): PartSpec | undefined {
  switch (name) {
    case 'codes':
      return {
        dtype: codeDType(format),
        shape: [rows, ELEMENTS[format.element].bits === 4 ? cols / 2 : cols],
      };
    case 'scales': {
      const [r, g] = scaleShape(format, rows, cols);
      return { dtype: format.scaleDType, shape: scaleLayout === 'row' ? [r, g] : [blockedSize(r, g)] };
    }
    case 'zeroPoints':
      if (!format.zeroPoint) return undefined;
      return { dtype: format.element === 'int8' ? 'i8' : 'u8', shape: scaleShape(format, rows, cols) };
    case 'globalScale':
      return hasGlobalScale(format) ? { dtype: 'f32', shape: [1] } : undefined;
    case 'clipMask':
      return { dtype: 'u8', shape: [rows, cols / 8] };
  }
}

/** The bytes of a part, 0 if the format has none. */
export function partBytes(matrix: MatrixSpec, name: PartName): number {
  const spec = partSpec(matrix, name);
  return spec ? spec.shape.reduce((a, b) => a * b, DTYPES[spec.dtype].bytes) : 0;
}

/** @throws QutlassError `QUTLASS_E_DTYPE`, `QUTLASS_E_SHAPE` unless the tensor is as the part of the matrix has to be */
export function requirePart(matrix: MatrixSpec, name: PartName, part: Tensor): void {
  const spec = partSpec(matrix, name);
  if (!spec) return;
  if (part.dtype !== spec.dtype) throw invalidArgument('QUTLASS_E_DTYPE', name, spec.dtype, part.dtype);
  if (part.shape.length !== spec.shape.length || part.shape.some((extent, i) => extent !== spec.shape[i])) {
    throw invalidArgument('QUTLASS_E_SHAPE', name, `shape ${shapeText(spec.shape)}`, shapeText(part.shape));
  }
}
