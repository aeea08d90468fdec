import type { DType } from '../dtype.js';
import { invalidArgument } from '../errors.js';
import { loadBinding } from '../loader.js';
import { produce, requireSameDevice, shapeText, type Tensor } from '../tensor.js';

/** The transpose [C, R] of a matrix [R, C]. */
export function transpose<D extends DType>(x: Tensor<D>): Tensor<D> {
  const [rows, cols] = requireMatrix('x', x);
  return produce([cols, rows], x.dtype, x.device, (native, stream, out) =>
    native.transpose(stream, x.handle, out),
  );
}

/** A matrix [rows, cols] that holds x [R, C] in its corner and zeros elsewhere; R <= rows, C <= cols. */
export function pad<D extends DType>(x: Tensor<D>, rows: number, cols: number): Tensor<D> {
  const [r, c] = requireMatrix('x', x);
  if (rows < r || cols < c) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'shape', `at least [${r}, ${c}]`, `[${rows}, ${cols}]`);
  }
  return produce([rows, cols], x.dtype, x.device, (native, stream, out) => native.pad(stream, x.handle, out));
}

/** The corner [rows, cols] of a matrix x [R, C]. */
export function crop<D extends DType>(x: Tensor<D>, rows: number, cols: number): Tensor<D> {
  const [r, c] = requireMatrix('x', x);
  if (rows > r || cols > c) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'shape', `at most [${r}, ${c}]`, `[${rows}, ${cols}]`);
  }
  return produce([rows, cols], x.dtype, x.device, (native, stream, out) => native.pad(stream, x.handle, out));
}

/** Copies x into the rows of `out` from `row` on; equal dtypes and inner extents. */
export function copyRows<D extends DType>(x: Tensor<D>, out: Tensor<D>, row: number): void {
  requireSameDevice(x, out);
  loadBinding().copyRows(x.device.stream.handle, x.handle, out.handle, row);
}

/** Rows [begin, end) of x as a new tensor. See {@link Tensor.rows} for a view. */
export function sliceRows<D extends DType>(x: Tensor<D>, begin: number, end: number): Tensor<D> {
  if (end <= begin) throw invalidArgument('QUTLASS_E_SHAPE', 'rows', 'begin < end', `[${begin}, ${end})`);
  const shape = [end - begin, ...x.shape.slice(1)];
  return produce(shape, x.dtype, x.device, (native, stream, out) =>
    native.sliceRows(stream, x.handle, begin, out),
  );
}

function requireMatrix(name: string, x: Tensor): [number, number] {
  const [rows, cols] = x.shape;
  if (x.rank !== 2 || rows === undefined || cols === undefined) {
    throw invalidArgument('QUTLASS_E_SHAPE', name, 'a matrix', shapeText(x.shape));
  }
  return [rows, cols];
}
