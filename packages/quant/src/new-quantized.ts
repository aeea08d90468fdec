import {
  type FloatDType,
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
import { SCALE_LAYOUTS, type ScaleLayout } from './scales.js';

export interface QuantizeOptions<L extends ScaleLayout = 'row'> {
  /** Applied along K before quantizing, in float32 on bf16 operands. Default: none. */
  rotation?: Rotation;
  /** For formats with a global scale: given, instead of found from the data. */
  globalScale?: number | Tensor<'f32'>;
  /** Also record which elements were not clipped (mxfp4 `quest` only). */
  clipMask?: boolean;
  /** The layout that scales are written in; default `row`. */
  scaleLayout?: L;
}

/**
 * The matrix [rows, K] like x [.., K] that one of the native quantizers puts into a block of its own.
 * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`
 */
export function newQuantized<F extends Format, L extends ScaleLayout>(
  x: Tensor<FloatDType>,
  format: F,
  options: QuantizeOptions<L>,
  enqueue: (native: NativeBinding, stream: StreamHandle, into: NewQuantized) => QuantizedHandle,
): QuantizedTensor<F, L> {
  const { rotation, clipMask = false, scaleLayout = 'row' as L } = options;
  const [rows, cols] = requireQuantizable(x, format, rotation);
  if (clipMask && format.rule !== 'quest') {
    throw invalidArgument('QUTLASS_E_FORMAT', 'clipMask', 'mxfp4 with the scale rule quest', format.name);
  }
  const { device } = x;
  const matrix: MatrixSpec = { format, rows, cols, scaleLayout };
  const global = givenGlobalScale(x, matrix, options.globalScale);
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
  x: Tensor,
  matrix: MatrixSpec,
  given: QuantizeOptions['globalScale'],
): Tensor<'f32'> | undefined {
  if (given === undefined) return undefined;
  const { format } = matrix;
  if (!hasGlobalScale(format)) {
    throw invalidArgument('QUTLASS_E_FORMAT', 'globalScale', `none for ${format.name}`, 'one');
  }
  if (given instanceof Tensor) {
    requireSameDevice(x, given);
    requirePart(matrix, 'globalScale', given);
    return given.share();
  }
  if (!Number.isFinite(given) || given <= 0) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'globalScale', 'a positive number', String(given));
  }
  return Tensor.from([given], { shape: [1], device: x.device });
}

/** The matrix [rows, K] that x is quantized as. */
export function requireQuantizable(
  x: Tensor,
  format: Format,
  rotation: Rotation | undefined,
): [rows: number, cols: number] {
  if (!isFloatDType(x.dtype)) throw invalidArgument('QUTLASS_E_DTYPE', 'x', 'f32, bf16 or f16', x.dtype);
  const cols = x.shape.at(-1) ?? 0;
  const group = format.groupCols === 'all' ? (ELEMENTS[format.element].bits === 4 ? 2 : 1) : format.groupCols;
  if (cols % group !== 0) {
    throw invalidArgument(
      'QUTLASS_E_SHAPE',
      'x',
      `K to be a multiple of ${group}, the group of ${format.name}`,
      `shape ${shapeText(x.shape)}`,
    );
  }
  if (rotation && cols % rotation.size !== 0) {
    throw invalidArgument(
      'QUTLASS_E_SHAPE',
      'x',
      `K to be a multiple of ${rotation.size}, the size of the rotation`,
      `shape ${shapeText(x.shape)}`,
    );
  }
  return [x.size / cols, cols];
}
