import { invalidArgument, produce, type Tensor } from '@qutlass/core-kernels';

/** Packs 4-bit codes [.., K] two to a byte, [.., K / 2], low nibble = even element; only the low 4 bits count. */
export function pack4(codes: Tensor<'i8' | 'u8'>): Tensor<'u8'> {
  const k = codes.shape.at(-1) ?? 0;
  if (k % 2 !== 0) throw invalidArgument('QUTLASS_E_SHAPE', 'codes', 'an even last dimension', String(k));
  return produce([...codes.shape.slice(0, -1), k / 2], 'u8', codes.device, (native, stream, out) =>
    native.pack4(stream, codes.handle, out),
  );
}

/** The inverse of {@link pack4}: codes 0..15 as u8, or sign-extended to -8..7 as i8. */
export function unpack4<D extends 'i8' | 'u8'>(packed: Tensor<'u8'>, dtype: D): Tensor<D> {
  const bytes = packed.shape.at(-1) ?? 0;
  return produce([...packed.shape.slice(0, -1), bytes * 2], dtype, packed.device, (native, stream, out) =>
    native.unpack4(stream, packed.handle, dtype === 'i8' ? 1 : 0, out),
  );
}
