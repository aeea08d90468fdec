/** The dtypes of dense tensors: their number in the C ABI, bytes per element, and the array that carries them on the host. */
export const DTYPES = {
  f32: { id: 0, bytes: 4, array: Float32Array },
  /** bfloat16; the host carries its bits, since JavaScript has no array of them. */
  bf16: { id: 1, bytes: 2, array: Uint16Array },
  /** IEEE half precision; the host carries its bits. */
  f16: { id: 2, bytes: 2, array: Uint16Array },
  i32: { id: 3, bytes: 4, array: Int32Array },
  i8: { id: 4, bytes: 1, array: Int8Array },
  u8: { id: 5, bytes: 1, array: Uint8Array },
  /** OCP E4M3 (fn): no infinity, largest value 448. */
  f8e4m3: { id: 6, bytes: 1, array: Uint8Array },
  /** OCP E5M2: largest value 57344. */
  f8e5m2: { id: 7, bytes: 1, array: Uint8Array },
  /** OCP E8M0: byte b means 2^(b - 127), 255 is NaN. */
  f8e8m0: { id: 8, bytes: 1, array: Uint8Array },
} as const;

export type DType = keyof typeof DTYPES;

/** The dtypes that arithmetic is done in. */
export type FloatDType = 'f32' | 'bf16' | 'f16';

/** The typed array that carries a dtype on the host. */
export type HostArray<D extends DType> = InstanceType<(typeof DTYPES)[D]['array']>;

export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(DTYPES, value);
}

export function isFloatDType(dtype: DType): dtype is FloatDType {
  return dtype === 'f32' || dtype === 'bf16' || dtype === 'f16';
}
