import {
  type FloatDType,
  invalidArgument,
  produce,
  requireSameDevice,
  type Tensor,
} from '@qutlass/core-kernels';
import { type Format, hasGlobalScale, nativeFormat } from './format.js';
import {
  type FusedQuantizeOptions,
  newQuantized,
  type QuantizeOptions,
  requireQuantizable,
  requireTransposable,
} from './new-quantized.js';
import type { QuantizedTensor } from './quantized-tensor.js';
import type { Rotation } from './rotation.js';
import { nativeRounding } from './rounding.js';
import type { ScaleLayout } from './scales.js';

/**
 * Quantizes x [.., K] along K as a matrix [rows, K], leading dimensions flattened into rows. A group with NaN or Inf gets a
 * NaN scale, so the damage stays visible and stays in the group.
 * @throws QutlassError `QUTLASS_E_SHAPE` if K is not a multiple of the group or of the rotation; `QUTLASS_E_DTYPE`,
 *   `QUTLASS_E_FORMAT`
 */
export function quantize<F extends Format, L extends ScaleLayout = 'row'>(
  x: Tensor<FloatDType>,
  format: F,
  options: QuantizeOptions<L> = {},
): QuantizedTensor<F, L> {
  const source = requireQuantizable(x, format, options.rotation);
  const rounding = nativeRounding(options.rounding, x.device);
  return newQuantized(source, format, options, (native, stream, into) =>
    native.quantizeNew(stream, x.handle, rounding, ...into),
  );
}

/**
 * {@link quantize} of the transpose of x, which is never written: x [.., K] as a matrix [rows, K] becomes one of [K, rows], with
 * groups and rotation along the rows of x. A quantized x counts as its values in bf16; where it is rotated, in the rotated
 * basis: then so are the rows of the result. One launch on a GPU where x is bf16 or quantized, the groups of the format have 16
 * to 128 columns and the rotation has up to 128 and is the identity, a Hadamard matrix or a matrix of 16, 32, 64 or 128 rows
 * (one more to find a global scale); else a transposed copy comes first.
 * @throws QutlassError `QUTLASS_E_SHAPE` if the rows are not a multiple of the group or of the rotation; `QUTLASS_E_DTYPE`,
 *   `QUTLASS_E_FORMAT`
 */
export function quantizeTransposed<F extends Format, L extends ScaleLayout = 'row'>(
  x: Tensor<FloatDType> | QuantizedTensor,
  format: F,
  options: QuantizeOptions<L> = {},
): QuantizedTensor<F, L> {
  const source = requireTransposable(x, format, options.rotation);
  const rounding = nativeRounding(options.rounding, x.device);
  return newQuantized(source, format, options, (native, stream, into) =>
    native.quantizeTransposedNew(stream, x.handle, rounding, ...into),
  );
}

export interface RmsNormQuantizeOptions<L extends ScaleLayout = 'row'> extends FusedQuantizeOptions<L> {
  /** Added to x before the normalization; the sum is written back into it. */
  residual?: Tensor<FloatDType> | undefined;
}

/**
 * {@link quantize} of what `rmsNorm(x, weight, eps, residual)` makes, to the same bytes. Where a kernel of the device can, in
 * one launch that does not write the normalized values: on a GPU x, residual and weight in bf16 with up to 8192 columns, and
 * no rotation or a Hadamard matrix of up to 256 rows.
 * @throws QutlassError as {@link quantize}
 */
export function rmsNormQuantize<F extends Format, L extends ScaleLayout = 'row'>(
  x: Tensor<FloatDType>,
  weight: Tensor<FloatDType>,
  eps: number,
  format: F,
  options: RmsNormQuantizeOptions<L> = {},
): QuantizedTensor<F, L> {
  const { residual } = options;
  requireSameDevice(x, weight, residual);
  return newQuantized(
    requireQuantizable(x, format, options.rotation),
    format,
    options,
    (native, stream, into) =>
      native.rmsNormQuantizeNew(stream, x.handle, residual?.handle ?? null, weight.handle, eps, ...into),
  );
}

/**
 * {@link quantize} of what `siluMul(gate, up)` makes, to the same bytes. Where a kernel of the device can, in one launch that
 * does not write the product: on a GPU in bf16, with no rotation or a Hadamard matrix of up to 256 rows.
 * @throws QutlassError as {@link quantize}
 */
export function siluMulQuantize<F extends Format, L extends ScaleLayout = 'row'>(
  gate: Tensor<FloatDType>,
  up: Tensor<FloatDType>,
  format: F,
  options: FusedQuantizeOptions<L> = {},
): QuantizedTensor<F, L> {
  requireSameDevice(gate, up);
  return newQuantized(
    requireQuantizable(gate, format, options.rotation),
    format,
    options,
    (native, stream, into) => native.siluMulQuantizeNew(stream, gate.handle, up.handle, ...into),
  );
}

export interface DequantizeOptions<D extends FloatDType = 'f32'> {
  dtype?: D;
  /** Leave the values in the rotated basis. Default false: the rotation is undone. */
  rotated?: boolean;
}

/** The values [rows, cols] that the codes stand for, rounded once to the dtype (f32 by default). */
export function dequantize<D extends FloatDType = 'f32'>(
  q: QuantizedTensor<Format>,
  { dtype = 'f32' as D, rotated = false }: DequantizeOptions<D> = {},
): Tensor<D> {
  const rotation = (rotated ? undefined : q.rotation)?.native(q.device) ?? null;
  return produce([q.rows, q.cols], dtype, q.device, (native, stream, out) =>
    native.dequantize(stream, q.handle, rotation, out),
  );
}

/**
 * The global scale [1] that {@link quantize} would find: 448 * 6 / amax for nvfp4 (256 * 6 / amax with four over six), over
 * the finite values of the rotated x; 3 for mxfp4 `abs_max`. It stays on the device.
 */
export function globalScale(x: Tensor<FloatDType>, format: Format, rotation?: Rotation): Tensor<'f32'> {
  if (!hasGlobalScale(format)) {
    throw invalidArgument('QUTLASS_E_FORMAT', 'format', 'one with a global scale', format.name);
  }
  const { rows, cols } = requireQuantizable(x, format, rotation);
  using matrix = x.reshape([rows, cols]);
  return produce([1], 'f32', x.device, (native, stream, out) =>
    native.globalScale(stream, matrix.handle, rotation?.native(x.device) ?? null, nativeFormat(format), out),
  );
}
