/** The value of half precision bits, by the definition of IEEE 754. */
export function f16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
}

/** The bits of the half precision number nearest to a value, ties to even. */
export function f16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const [sign, size] = [Object.is(value, -0) || value < 0 ? 0x8000 : 0, Math.abs(value)];
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const steps = size / 2 ** (exponent - 10);
  const down = Math.floor(steps);
  const up = steps - down > 0.5 || (steps - down === 0.5 && down % 2 === 1) ? 1 : 0;
  // The leading one of a normal number, and a carry, count up the exponent.
  return sign | (((exponent + 14) << 10) + down + up);
}
