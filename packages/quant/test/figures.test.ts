import { Random } from '@qutlass/test-support';
import { expect, it } from 'vitest';
import {
  dequantize,
  type Format,
  fp8,
  int4,
  int8,
  mxfp4,
  mxfp8,
  nvfp4,
  quantize,
  Tensor,
} from '../src/index.js';

// Relative mean squared error on N(0, 1), 2048 x 4096: 4-bit figures as printed in Quartet (arXiv 2505.14669) and
// Quartet II, Table 1; the others from an independent float64 implementation.
const FIGURES: [Format, number][] = [
  [mxfp4(), 1.32e-2],
  [mxfp4({ scale: 'abs_max' }), 1.39e-2],
  [nvfp4(), 9.05e-3],
  [nvfp4({ fourSix: true }), 7.56e-3],
  [int4({ group: 32 }), 9.42e-3],
  [fp8(), 7.0e-4],
  [int8(), 7.56e-5],
  [mxfp8(), 8.58e-4],
  [mxfp8({ scale: 'rceil' }), 7.1e-4],
];

const shape = [2048, 4096];
const data = new Random(2048).normals(2048 * 4096);
const total = data.reduce((sum, value) => sum + value * value, 0);

it.each(FIGURES.map(([format, figure]) => [format.name, figure, format] as const))(
  '%s has a relative error of %f',
  async (_, figure, format) => {
    using x = Tensor.from(data, { shape });
    using q = quantize(x, format);
    using restored = dequantize(q);
    const values = await restored.toFloat32Array();
    let error = 0;
    for (let i = 0; i < data.length; ++i) error += (values[i]! - data[i]!) ** 2;
    expect(Math.abs(error / total / figure - 1)).toBeLessThan(0.02);
  },
);
