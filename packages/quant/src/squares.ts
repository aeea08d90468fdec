import {
  type FloatDType,
  invalidArgument,
  loadBinding,
  Resource,
  shapeText,
  Tensor,
  transpose,
} from '@qutlass/core-kernels';
import type { MxFp8 } from './format.js';
import { requireFloats, requireQuantizable } from './new-quantized.js';
import { type MatrixSpec, type PartName, partSpec } from './parts.js';
import { QuantizedTensor } from './quantized-tensor.js';
import { nativeRounding, type Rounding } from './rounding.js';
import type { ScaleLayout, Scales } from './scales.js';

export interface SquaresOptions<L extends ScaleLayout = 'row'> {
  /** How elements become codes; default: to nearest, ties to the even code. */
  rounding?: Rounding;
  /** The layout that both scales are written in; default `row`. */
  scaleLayout?: L;
}

/** A matrix [rows, cols] in MXFP8 with one scale for each square of 32 x 32, so that its codes are also those of its transpose. */
export class QuantizedSquares<L extends ScaleLayout = ScaleLayout> extends Resource {
  /** The matrix with groups along its rows. */
  readonly matrix: QuantizedTensor<MxFp8, L>;
  /** The same scales as those of the transpose [cols, rows]. */
  readonly columnScales: Scales<L>;

  /** @internal Use {@link quantizeSquares}. */
  constructor(matrix: QuantizedTensor<MxFp8, L>, columnScales: Scales<L>) {
    super();
    this.matrix = matrix;
    this.columnScales = columnScales;
  }

  /** Bytes of codes and of both scales. */
  get byteLength(): number {
    return this.matrix.byteLength + this.columnScales.byteLength;
  }

  /** The transpose [cols, rows] as a matrix of its own: the same codes in another order, and the column scales. */
  transpose(): QuantizedTensor<MxFp8, L> {
    this.requireLive('quantized squares');
    const { format, rows, cols, codes, scaleLayout } = this.matrix;
    return new QuantizedTensor<MxFp8, L>(format, {
      rows: cols,
      cols: rows,
      codes: transpose(codes),
      scales: this.columnScales.share() as Scales<L>,
      scaleLayout,
    });
  }

  override owned(): Iterable<Resource> {
    return [this.matrix, this.columnScales];
  }

  override toString(): string {
    return `QuantizedSquares(${this.matrix})`;
  }

  protected release(): void {
    this.matrix.dispose();
    this.columnScales.dispose();
  }
}

/**
 * Quantizes x [rows, cols] to MXFP8 with one scale for each square of 32 x 32 elements, in one launch. Under the rule `rceil`
 * nothing saturates; under `floor` elements above 1.75 times the largest power of two in their square do.
 * @throws QutlassError `QUTLASS_E_SHAPE` if rows and cols are not multiples of 32; `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`
 */
export function quantizeSquares<L extends ScaleLayout = 'row'>(
  x: Tensor<FloatDType>,
  format: MxFp8,
  { rounding, scaleLayout = 'row' as L }: SquaresOptions<L> = {},
): QuantizedSquares<L> {
  requireFloats(x);
  const { device, rows, cols } = requireQuantizable(x, format, undefined);
  if (x.rank !== 2 || rows % 32 !== 0) {
    const shape = `shape ${shapeText(x.shape)}`;
    throw invalidArgument('QUTLASS_E_SHAPE', 'x', 'a matrix in squares of 32 x 32', shape);
  }
  const draws = nativeRounding(rounding, device);
  const made: Tensor[] = [];
  const part = <T extends Tensor>(matrix: MatrixSpec, name: PartName): T => {
    const { shape, dtype } = partSpec(matrix, name)!;
    const tensor = Tensor.empty(shape, dtype, device);
    made.push(tensor);
    return tensor as T;
  };
  try {
    const spec: MatrixSpec = { format, rows, cols, scaleLayout };
    const columnScales = part<Scales<L>>({ ...spec, rows: cols, cols: rows }, 'scales');
    const codes = part<Tensor<'f8e4m3' | 'f8e5m2'>>(spec, 'codes');
    const scales = part<Scales<L>>(spec, 'scales');
    const matrix = new QuantizedTensor<MxFp8, L>(format, { rows, cols, codes, scales, scaleLayout });
    loadBinding().quantizeSquares(device.stream.handle, x.handle, draws, matrix.handle, columnScales.handle);
    return new QuantizedSquares(matrix, columnScales);
  } catch (error) {
    for (const tensor of made) tensor.dispose();
    throw error;
  }
}
