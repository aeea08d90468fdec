import { produce, type Tensor } from '@qutlass/core-kernels';
import { ELEMENTS, type Element } from './element.js';

/**
 * Float32 values to the codes of an element, one to a byte: rounded to nearest, ties to the even code, saturated to the
 * largest finite value, the sign of zero kept.
 */
export function encode(x: Tensor<'f32'>, element: Element): Tensor<'u8'> {
  return produce(x.shape, 'u8', x.device, (native, stream, out) =>
    native.encode(stream, x.handle, ELEMENTS[element].id, out),
  );
}

/** The float32 values of codes, one to a byte. */
export function decode(codes: Tensor<'u8'>, element: Element): Tensor<'f32'> {
  return produce(codes.shape, 'f32', codes.device, (native, stream, out) =>
    native.decode(stream, codes.handle, ELEMENTS[element].id, out),
  );
}
