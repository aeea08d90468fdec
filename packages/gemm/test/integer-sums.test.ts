import { describe, expect, it } from 'vitest';
import { int8, prepare, QuantizedTensor, rowScales, Tensor } from '../src/index.js';
import { attempt, KERNELS } from './operands.js';

describe('int8 beyond the range of 32-bit sums', () => {
  const k = 140_000;
  const matrix = (rows: number, zeroPoint?: number) =>
    new QuantizedTensor(int8({ zeroPoint: zeroPoint !== undefined }), {
      rows,
      cols: k,
      codes: Tensor.from(new Int8Array(rows * k).fill(127), { shape: [rows, k], dtype: 'i8' }),
      scales: rowScales(Tensor.from(new Float32Array(rows).fill(1), { shape: [rows, 1] })),
      scaleLayout: 'row',
      zeroPoints:
        zeroPoint === undefined
          ? undefined
          : Tensor.from(new Int8Array(rows).fill(zeroPoint), { shape: [rows, 1], dtype: 'i8' }),
    });

  it.each([
    { m: 1, zero: undefined },
    { m: 7, zero: undefined },
    { m: 1, zero: -128 },
    { m: 7, zero: -128 },
    { m: 15, zero: undefined },
    { m: 35, zero: -128 },
  ])('M = $m, zero point $zero', async ({ m, zero }) => {
    using a = matrix(m, zero);
    using b = matrix(3, zero);
    using prepared = prepare(b);
    const exact = Math.fround((127 - (zero ?? 0)) ** 2 * k);
    expect(exact).toBeGreaterThan(2 ** 31);
    for (const [kernel, weight] of KERNELS.flatMap((kernel) =>
      [b, prepared].map((w) => [kernel, w] as const),
    )) {
      using y = attempt(kernel, a, weight, { outDType: 'f32' });
      if (!y) continue;
      expect(kernel.accumulator).toMatch(/^(i32|f64)$/);
      expect(await y.toFloat32Array(), kernel.name).toEqual(new Float32Array(m * 3).fill(exact));
    }
  });
});
