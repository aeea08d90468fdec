/**
 * The elements of quantized formats: number in the C ABI, bits that a code takes in memory, largest value.
 * See `native/numerics/elements.h` for the encodings.
 */
export const ELEMENTS = {
  e2m1: { id: 0, bits: 4, max: 6 },
  e2m3: { id: 1, bits: 8, max: 7.5 },
  e3m2: { id: 2, bits: 8, max: 28 },
  e4m3: { id: 3, bits: 8, max: 448 },
  e5m2: { id: 4, bits: 8, max: 57344 },
  e8m0: { id: 5, bits: 8, max: 2 ** 127 },
  int8: { id: 6, bits: 8, max: 127 },
  int4: { id: 7, bits: 4, max: 7 },
  uint4: { id: 8, bits: 4, max: 15 },
  nf4: { id: 9, bits: 4, max: 1 },
} as const;

export type Element = keyof typeof ELEMENTS;
