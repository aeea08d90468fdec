import { checkpointError, show } from './errors.js';

/**
 * Bits per element of each safetensors dtype, in the order of the format's own enumeration. The order matters: the
 * reference writer sorts tensors by it, descending, which puts wide elements first and keeps them aligned.
 */
export const SAFETENSORS_DTYPES = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type SafetensorsDtype = keyof typeof SAFETENSORS_DTYPES;

export const DTYPE_NAMES = Object.keys(SAFETENSORS_DTYPES) as readonly SafetensorsDtype[];

export function isSafetensorsDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === 'string' && Object.hasOwn(SAFETENSORS_DTYPES, value);
}

/**
 * Validates a dtype and a shape as they come from outside and gives the size of the tensor in bytes:
 * product(shape) * bits / 8, which must be a whole number below 2^53.
 *
 * @param where the prefix of error messages: a file and a tensor
 * @throws QutlassError QUTLASS_E_CHECKPOINT
 */
export function tensorByteLength(dtype: unknown, shape: unknown, where: string): number {
  if (!isSafetensorsDtype(dtype)) {
    throw checkpointError(where, `dtype: expected one of ${DTYPE_NAMES.join(', ')}, got ${show(dtype)}`);
  }
  if (!Array.isArray(shape)) throw checkpointError(where, `shape: expected an array, got ${show(shape)}`);
  let bits: number = SAFETENSORS_DTYPES[dtype];
  let elements = 1;
  for (const [axis, dimension] of (shape as readonly unknown[]).entries()) {
    if (!isByteCount(dimension)) {
      throw checkpointError(
        where,
        `shape[${axis}]: expected an integer from 0 to 2^53 - 1, got ${show(dimension)}`,
      );
    }
    elements *= dimension;
    bits *= dimension;
    if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(bits)) {
      throw checkpointError(where, `shape: expected a ${dtype} tensor below 2^53 bits, got ${show(shape)}`);
    }
  }
  if (bits % 8 !== 0) {
    throw checkpointError(
      where,
      `shape: expected a whole number of bytes, got ${show(shape)} of ${dtype}, ${bits} bits`,
    );
  }
  return bits / 8;
}

/** Whether `value` is an integer from 0 to 2^53 - 1. */
export function isByteCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
