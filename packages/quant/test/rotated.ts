import { roundBf16 } from '@qutlass/test-support';

// Rotations in float64.

/** Entry (i, j) of the Sylvester Hadamard matrix: the parity of the bits that i and j share. */
export function sylvester(i: number, j: number): number {
  let bits = i & j;
  let parity = 0;
  while (bits) {
    parity ^= bits & 1;
    bits >>>= 1;
  }
  return parity ? -1 : 1;
}

export function hadamardMatrix(size: number): number[] {
  const entry = roundBf16(size ** -0.5);
  return Array.from({ length: size * size }, (_, i) => sylvester(Math.floor(i / size), i % size) * entry);
}

/** x reshaped to rows of `size`, times the matrix, in float64 on bf16 operands. */
export function rotated(x: Float32Array, matrix: readonly number[], size: number): number[] {
  const out = new Array<number>(x.length).fill(0);
  for (let block = 0; block < x.length; block += size) {
    for (let i = 0; i < size; ++i) {
      const value = roundBf16(x[block + i]!);
      for (let j = 0; j < size; ++j) out[block + j]! += value * matrix[i * size + j]!;
    }
  }
  return out;
}
