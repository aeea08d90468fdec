import { type Random, roundBf16 } from '@qutlass/test-support';
import { decode, ELEMENTS, type QuantizedTensor, type Tensor, unpack4 } from '../src/index.js';

// What is in quantized matrices, and what goes into them.

/** Codes one by one. */
export async function codesOf(q: QuantizedTensor): Promise<number[]> {
  if (ELEMENTS[q.format.element].bits === 8) return [...(await q.codes.toBytes())];
  using wide = unpack4(q.codes as Tensor<'u8'>, 'u8');
  return [...(await wide.toArray())];
}

export async function scalesOf(q: QuantizedTensor): Promise<number[]> {
  const { dtype } = q.scales;
  if (dtype === 'f8e8m0') return [...(await q.scales.toBytes())].map((byte) => 2 ** (byte - 127));
  if (dtype === 'f8e4m3') {
    using bytes = q.scales.bitcast('u8') as Tensor<'u8'>;
    using values = decode(bytes, 'e4m3');
    return [...(await values.toFloat32Array())];
  }
  return [...(await q.scales.toFloat32Array())];
}

/** Rows of very different size, as real activations have, and some zeros. */
export function sample(random: Random, rows: number, cols: number): Float32Array<ArrayBuffer> {
  const x = new Float32Array(rows * cols);
  for (let row = 0; row < rows; ++row) {
    const scale = Math.exp(random.uniform() * 8 - 4);
    for (let i = row * cols; i < (row + 1) * cols; ++i) {
      x[i] = random.uniform() < 0.05 ? 0 : roundBf16(random.normal() * scale);
    }
  }
  return x;
}
