import type { ReferenceElement } from './elements.js';

/** A format as the contract describes it; the library's formats have this shape. */
export interface ReferenceFormat {
  readonly name: string;
  readonly element: string;
  readonly scaleDType: 'f8e8m0' | 'f8e4m3' | 'f32' | 'bf16' | 'f16';
  readonly rule: 'amax' | 'floor' | 'rceil' | 'abs_max' | 'quest' | 'nv' | 'four_six';
  readonly groupRows: number | 'all';
  readonly groupCols: number | 'all';
  readonly zeroPoint: boolean;
}

export const elementOf = (format: ReferenceFormat) => format.element as ReferenceElement;

/** Rows and columns of a group of a matrix, and the extent of the scales. */
export function scaleExtent(format: ReferenceFormat, rows: number, cols: number) {
  const height = format.groupRows === 'all' ? rows : format.groupRows;
  const width = format.groupCols === 'all' ? cols : format.groupCols;
  return { height, width, scaleRows: Math.ceil(rows / height), scaleCols: Math.ceil(cols / width) };
}
