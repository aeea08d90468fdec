import type { DType } from '../dtype.js';
import { loadBinding } from '../loader.js';
import { produce, type Tensor } from '../tensor.js';

export interface RandomOptions {
  /** Equal seeds give equal bits, on every device. Default 0. */
  seed?: number;
  /** Standard deviation of float numbers. Default 1. */
  deviation?: number;
}

/** Sets every byte of x, on the stream; 0 gives zeros in every dtype. */
export function fill(x: Tensor, byte: number): void {
  loadBinding().fill(x.device.stream.handle, byte, x.handle);
}

/**
 * Overwrites x with random numbers, on the stream. f32, bf16 and f16 have mean 0 and a bell shape, each the sum of eight
 * uniform numbers, so none is beyond 4.9 deviations. Other dtypes have uniform bytes.
 */
export function fillRandom(x: Tensor, { seed = 0, deviation = 1 }: RandomOptions = {}): void {
  loadBinding().fillRandom(x.device.stream.handle, seed, deviation, x.handle);
}

/**
 * The exclusive or of the 4-byte words of x, zeros after its end, each rotated left by its index modulo 32. Computed on the
 * device in one pass, so large tensors can be compared bit for bit without reading them back.
 */
export function checksum(x: Tensor<DType>): Tensor<'i32'> {
  return produce([1], 'i32', x.device, (native, stream, out) => native.checksum(stream, x.handle, out));
}
