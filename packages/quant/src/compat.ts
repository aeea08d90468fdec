import {
  type FloatDType,
  invalidArgument,
  produce,
  requireSameDevice,
  type Tensor,
} from '@qutlass/core-kernels';
import { type Format, mxfp4, nvfp4 } from './format.js';
import { pack4 } from './pack.js';
import { quantize } from './quantize.js';
import type { QuantizedTensor } from './quantized-tensor.js';
import type { Rotation } from './rotation.js';
import { type RowScales, rowScales, toBlocked } from './scales.js';

// The names that users of QuTLASS and of its Ampere fork know, over the functions of this package. Scales come in row
// layout without padding; toBlocked() pads and swizzles.

export { toBlocked };

export interface FusedQuantizeMxOptions {
  method?: 'quest' | 'abs_max';
  /** Also return the clip mask of `quest`. */
  returnMask?: boolean;
}

/** QuTLASS `fusedQuantizeMx(a, b)`: rotates a [.., K] by `rotation` and quantizes it to MXFP4. */
export function fusedQuantizeMx(
  a: Tensor<FloatDType>,
  rotation: Rotation,
  { method = 'quest', returnMask = false }: FusedQuantizeMxOptions = {},
): { codes: Tensor<'u8'>; scales: RowScales; mask?: Tensor<'u8'> } {
  using q = quantize(a, mxfp4({ scale: method }), { rotation, clipMask: returnMask });
  return { ...shared(q), ...(q.clipMask && { mask: q.clipMask.share() }) };
}

/** QuTLASS `fusedQuantizeNv(a, b, global_scale)`: rotates a [.., K] by `rotation` and quantizes it to NVFP4. */
export function fusedQuantizeNv(
  a: Tensor<FloatDType>,
  rotation: Rotation,
  globalScale: number | Tensor<'f32'>,
): { codes: Tensor<'u8'>; scales: RowScales } {
  using q = quantize(a, nvfp4(), { rotation, globalScale });
  return shared(q);
}

/** Codes and scales that outlive the quantized tensor. */
function shared(q: QuantizedTensor<Format, 'row'>): { codes: Tensor<'u8'>; scales: RowScales } {
  return { codes: q.codes.share() as Tensor<'u8'>, scales: rowScales(q.scales.share()) };
}

/** IntLASS `pack_int4`: int8 [.., K] to [.., K / 2] bytes, low nibble = even element. */
export function packInt4(codes: Tensor<'i8'>): Tensor<'u8'> {
  return pack4(codes);
}

/** IntLASS `quantize_int8`: rint(clamp(x / scale, -128, 127)), NaN to 0; scale has one element or one per row. */
export function quantizeInt8(x: Tensor<FloatDType>, scale: Tensor<FloatDType>): Tensor<'i8'> {
  requireSameDevice(x, scale);
  const rows = x.size / (x.shape.at(-1) ?? 1);
  if (scale.size !== 1 && scale.size !== rows) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'scale', `1 or ${rows} elements`, String(scale.size));
  }
  return produce(x.shape, 'i8', x.device, (native, stream, out) =>
    native.quantizeInt8WithScale(stream, x.handle, scale.handle, out),
  );
}
