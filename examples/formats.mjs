// Quantizes one matrix into every format and prints bits per element and the relative mean squared error, with and without
// a Hadamard rotation. Every 128th column is an outlier, as in the activations of large language models.
//
//     node formats.mjs
import { dequantize, FORMATS, hadamard, quantize, scope, Tensor } from '@qutlass/layers';

const [rows, cols] = [256, 1024];
const values = Float32Array.from({ length: rows * cols }, (_, i) => normal(i) * (i % 128 === 0 ? 20 : 1));
const x = Tensor.from(values, { shape: [rows, cols] });

for (const format of FORMATS) {
  const plain = await error(format);
  const rotated = await error(format, hadamard(128));
  const { bitsPerElement } = scope(() => ({ bitsPerElement: quantize(x, format).bitsPerElement }));
  console.log(
    format.name.padEnd(20),
    `${bitsPerElement.toFixed(2)} bits`.padEnd(12),
    `error ${plain.toExponential(2)}`.padEnd(18),
    `rotated ${rotated.toExponential(2)}`,
  );
}
x.dispose();

/** sum (x - q)^2 / sum x^2 */
async function error(format, rotation) {
  const restored = scope(() => dequantize(quantize(x, format, rotation ? { rotation } : {})));
  const approximation = await restored.toFloat32Array();
  restored.dispose();
  let difference = 0;
  let total = 0;
  for (const [i, value] of values.entries()) {
    difference += (value - approximation[i]) ** 2;
    total += value ** 2;
  }
  return difference / total;
}

/** A repeatable draw from N(0, 1): Box-Muller over two hashes of the index. */
function normal(index) {
  const uniform = (salt) => {
    let h = Math.imul(index * 2 + salt + 1, 0x9e3779b1) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
    return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32 + 2 ** -33;
  };
  return Math.sqrt(-2 * Math.log(uniform(0))) * Math.cos(2 * Math.PI * uniform(1));
}
