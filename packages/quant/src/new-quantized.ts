import {
  type Device,
  invalidArgument,
  isFloatDType,
  loadBinding,
  type NativeBinding,
  type NewQuantized,
  type QuantizedHandle,
  requireSameDevice,
  type StreamHandle,
  shapeText,
  Tensor,
} from '@qutlass/core-kernels';
import { ELEMENTS } from './element.js';
import { type Format, hasGlobalScale, nativeFormat } from './format.js';
import { type MatrixSpec, partBytes, requirePart } from './parts.js';
import { QuantizedTensor } from './quantized-tensor.js';
import type { Rotation } from './rotation.js';
import type { Rounding } from './rounding.js';
import { SCALE_LAYOUTS, type ScaleLayout } from './scales.js';

export interface FusedQuantizeOptions<L extends ScaleLayout = 'row'> {
  /** Applied along K before quantizing, in float32 on bf16 operands. Default: none. */
  rotation?: Rotation;
  /** For formats with a global scale: given, instead of found from the data. */
  globalScale?: number | Tensor<'f32'>;
  /** Also record which elements were not clipped (mxfp4 `quest` only). */
  clipMask?: boolean;
  /** The layout that scales are written in; default `row`. */
  scaleLayout?: L;
}

export interface QuantizeOptions<L extends ScaleLayout = 'row'> extends FusedQuantizeOptions<L> {
  /** How elements become codes; default: to nearest, ties to the even code. */
  rounding?: Rounding;
}

/** A matrix that is to be quantized. */
export interface Source {
  readonly device: Device;
  readonly rows: number;
  readonly cols: number;
}

/**
 * The matrix that one of the native quantizers puts into a block of its own.
 * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`
 */
export function newQuantized<F extends Format, L extends ScaleLayout>(
  source: Source,
  format: F,
  options: FusedQuantizeOptions<L>,
  enqueue: (native: NativeBinding, stream: StreamHandle, into: NewQuantized) => QuantizedHandle,
): QuantizedTensor<F, L> {
  const { rotation, clipMask = false, scaleLayout = 'row' as L } = options;
  if (clipMask && format.rule !== 'quest') {
    throw invalidArgument('QUTLASS_E_FORMAT', 'clipMask', 'mxfp4 with the scale rule quest', format.name);
  }
  const { device, rows, cols } = source;
  const matrix: MatrixSpec = { format, rows, cols, scaleLayout };
  const global = givenGlobalScale(source, matrix, options.globalScale);
  try {
    const handle = enqueue(loadBinding(), device.stream.handle, [
      rotation?.native(device) ?? null,
      nativeFormat(format),
      SCALE_LAYOUTS[scaleLayout],
      global?.handle ?? null,
      partBytes(matrix, 'codes'),
      partBytes(matrix, 'scales'),
      partBytes(matrix, 'zeroPoints'),
      global ? 0 : partBytes(matrix, 'globalScale'),
      clipMask ? partBytes(matrix, 'clipMask') : 0,
    ]);
    return new QuantizedTensor<F, L>(format, {
      handle,
      device,
      rows,
      cols,
      scaleLayout,
      globalScale: global,
      hasClipMask: clipMask,
      rotation,
    });
  } catch (error) {
    global?.dispose();
    throw error;
  }
}

/** The global scale of the caller as a tensor of ours, undefined if it is to be found. */
function givenGlobalScale(
  { device }: Source,
  matrix: MatrixSpec,
  given: FusedQuantizeOptions['globalScale'],
): Tensor<'f32'> | undefined {
  if (given === undefined) return undefined;
  const { format } = matrix;
  if (!hasGlobalScale(format)) {
    throw invalidArgument('QUTLASS_E_FORMAT', 'globalScale', `none for ${format.name}`, 'one');
  }
  if (given instanceof Tensor) {
    requireSameDevice({ device }, given);
    requirePart(matrix, 'globalScale', given);
    return given.share();
  }
  if (!Number.isFinite(given) || given <= 0) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'globalScale', 'a positive number', String(given));
  }
  return Tensor.from([given], { shape: [1], device });
}

/** The matrix [rows, K] that x [.., K] is quantized as. */
export function requireQuantizable(x: Tensor, format: Format, rotation: Rotation | undefined): Source {
  requireFloats(x);
  const cols = x.shape.at(-1) ?? 0;
  requireLength('K', cols, x.shape, format, rotation);
  return { device: x.device, rows: x.size / cols, cols };
}

/** The matrix [K, rows] that the transpose of x [.., K], or of a quantized x, is quantized as. */
export function requireTransposable(
  x: Tensor | QuantizedTensor,
  format: Format,
  rotation: Rotation | undefined,
): Source {
  if (x instanceof Tensor) requireFloats(x);
  const rows = x.shape.at(-1) ?? 0;
  const cols = (x instanceof Tensor ? x.size : x.rows * x.cols) / rows;
  requireLength('the rows', cols, x.shape, format, rotation);
  return { device: x.device, rows, cols };
}

export function requireFloats(x: Tensor): void {
  if (!isFloatDType(x.dtype)) throw invalidArgument('QUTLASS_E_DTYPE', 'x', 'f32, bf16 or f16', x.dtype);
}

/** Whether groups and rotations divide what they run along. */
function requireLength(
  what: string,
  length: number,
  shape: readonly number[],
  format: Format,
  rotation: Rotation | undefined,
): void {
  const require = (step: number, of: string) => {
    if (length % step === 0) return;
    throw invalidArgument(
      'QUTLASS_E_SHAPE',
      'x',
      `${what} to be a multiple of ${step}, ${of}`,
      `shape ${shapeText(shape)}`,
    );
  };
  const packed = ELEMENTS[format.element].bits === 4 ? 2 : 1;
  require(format.groupCols === 'all' ? packed : format.groupCols, `the group of ${format.name}`);
  if (rotation) require(rotation.size, 'the size of the rotation');
}
