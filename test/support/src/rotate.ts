import { roundTo } from './float-bits.js';

/** The Sylvester Hadamard matrix with entries +-bf16(size^-0.5), row-major; row i times signs[i] if given. */
export function hadamardMatrix(size: number, signs?: ArrayLike<number>): Float64Array {
  const entry = roundTo('bf16', size ** -0.5);
  return Float64Array.from({ length: size * size }, (_, index) => {
    const i = Math.floor(index / size);
    let common = i & (index % size);
    let negative = (signs?.[i] ?? 1) < 0;
    for (; common; common &= common - 1) negative = !negative;
    return negative ? -entry : entry;
  });
}

/** reshape(bf16(x), [-1, size]) @ bf16(matrix) in float64. */
export function referenceRotate(
  x: ArrayLike<number>,
  matrix: ArrayLike<number>,
  size: number,
): Float64Array {
  const operand = Float64Array.from(matrix, (value) => roundTo('bf16', value));
  const out = new Float64Array(x.length);
  for (let block = 0; block < x.length; block += size) {
    for (let i = 0; i < size; ++i) {
      const value = roundTo('bf16', x[block + i] as number);
      for (let j = 0; j < size; ++j) {
        out[block + j] = (out[block + j] as number) + value * (operand[i * size + j] as number);
      }
    }
  }
  return out;
}
