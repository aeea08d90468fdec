/** A format as the contract describes it, as far as dequantizing needs it; the library's formats have this shape. */
export interface ReferenceFormat {
  readonly element: string;
  readonly scaleDType: 'f8e8m0' | 'f8e4m3' | 'f32' | 'bf16' | 'f16';
  readonly groupRows: number | 'all';
  readonly groupCols: number | 'all';
}

/** Rows and columns of a group of a matrix, and the groups along a row. */
export function scaleExtent(format: ReferenceFormat, rows: number, cols: number) {
  const height = format.groupRows === 'all' ? rows : format.groupRows;
  const width = format.groupCols === 'all' ? cols : format.groupCols;
  return { height, width, scaleCols: Math.ceil(cols / width) };
}
