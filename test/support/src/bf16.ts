const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);

/** The bits of the bf16 nearest to a float32, ties to even. */
export function bf16Bits(value: number): number {
  floats[0] = value;
  const bits = words[0]!;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The value of bf16 bits. */
export function bf16Value(bits: number): number {
  words[0] = bits << 16;
  return floats[0]!;
}

/** The nearest bf16, as a number. */
export function roundBf16(value: number): number {
  return bf16Value(bf16Bits(value));
}
