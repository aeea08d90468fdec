import { pad } from '@qutlass/core-kernels';
import { dequantize, nvfp4, quantize } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import { expectNoLeak, expectProduct, randomTensor, randomValues } from '../test/support.js';
import { failure } from './checkpoint/test-support.js';
import { Fp4WeightCache, fp4CachedLinear, fp4Linear, fp4Matmul, fp4Quantize } from './fp4.js';
import { QuantLinear } from './modules/quant-linear.js';

const SIZES = [
  [1, 1, 1],
  [3, 5, 16],
  [4, 7, 33],
  [17, 130, 257],
] as const;

/** x [rows, cols] with zeros up to a multiple of 16, in NVFP4. */
function quantized(rows: number, cols: number, seed: number) {
  using x = randomTensor([rows, cols], seed);
  using wide = pad(x, rows, Math.ceil(cols / 16) * 16);
  return quantize(wide, nvfp4());
}

describe('the names of fp4-cuda-kernel', () => {
  it.each(SIZES)('linear is the product of quantized operands, %d x %d x %d', async (m, n, k) => {
    await expectNoLeak(async () => {
      using x = randomTensor([m, k], 2);
      using weight = randomTensor([n, k], 3);
      using bias = randomTensor([n], 4);
      using qx = quantized(m, k, 2);
      using qw = quantized(n, k, 3);
      using xValues = dequantize(qx);
      using weightValues = dequantize(qw);
      const [left, right] = [await xValues.toArray(), await weightValues.toArray()];
      const sizes = { rows: m, cols: n, inner: qx.cols };
      const exactly = { bias: await bias.toArray(), relative: 2 ** -20 };
      using cache = fp4Quantize(weight, bias);
      expect(cache).toBeInstanceOf(Fp4WeightCache);
      using cached = fp4CachedLinear(x, cache);
      using once = fp4Linear(x, weight, bias);
      expectProduct(await cached.toArray(), left, right, sizes, exactly);
      expectProduct(await once.toArray(), left, right, sizes, exactly);
      using noBias = fp4Linear(x, weight);
      expectProduct(await noBias.toArray(), left, right, sizes, { relative: 2 ** -20 });
      expect([weight.disposed, bias.disposed]).toEqual([false, false]);
    });
  });

  it.each(SIZES)('matmul is alpha a b^T + beta c, %d x %d x %d', async (m, n, k) => {
    await expectNoLeak(async () => {
      using a = randomTensor([m, k], 2);
      using b = randomTensor([n, k], 3);
      using c = randomTensor([m, n], 4);
      using qa = quantized(m, k, 2);
      using qb = quantized(n, k, 3);
      using aValues = dequantize(qa);
      using bValues = dequantize(qb);
      const left = await aValues.toArray();
      const right = (await bValues.toArray()).map((value) => 0.5 * value);
      const sizes = { rows: m, cols: n, inner: qa.cols };
      using product = fp4Matmul(a, b, { alpha: 0.5 });
      expectProduct(await product.toArray(), left, right, sizes, { relative: 2 ** -20 });
      using sum = fp4Matmul(a, b, { c, alpha: 0.5, beta: -2 });
      const addend = randomValues(m * n, 4);
      const out = (await sum.toArray()).map((value, i) => value + 2 * (addend[i] as number));
      expectProduct(out, left, right, sizes, { relative: 2 ** -12 });
      using half = fp4Matmul(a, b, { c, beta: 0 });
      using whole = fp4Matmul(a, b);
      expect(await half.toArray()).toEqual(await whole.toArray());
    });
  });

  it('rounds once to the dtype of a', async () => {
    using a = randomTensor([3, 33], 2, 'bf16');
    using wide = randomTensor([3, 33], 2);
    using b = randomTensor([5, 33], 3);
    using c = randomTensor([3, 5], 4);
    using out = fp4Matmul(a, b, { c });
    using exact = fp4Matmul(wide, b, { c });
    expect(out.dtype).toBe('bf16');
    const [values, expected] = [await out.toFloat32Array(), await exact.toFloat32Array()];
    // Half a step of bf16, and the bound of both products.
    for (const [i, value] of expected.entries()) {
      const difference = Math.abs((values[i] as number) - value);
      expect(difference).toBeLessThanOrEqual(2 ** -8 * Math.abs(value) + 33 * 2 ** -15);
    }
  });

  it('refuse what does not fit', async () => {
    using a = randomTensor([3, 17]);
    using b = randomTensor([5, 20]);
    using c = randomTensor([5, 3]);
    using square = randomTensor([3, 20]);
    using cube = randomTensor([1, 3, 20]);
    await expectNoLeak(async () => {
      // Both pad to 32: only the check tells them apart.
      expect(await failure(() => fp4Matmul(a, b))).toBe(
        'QUTLASS_E_SHAPE a: expected shape [M, 20] as b, got [3, 17]',
      );
      expect(await failure(() => fp4Matmul(cube, b))).toBe(
        'QUTLASS_E_SHAPE a: expected shape [M, 20] as b, got [1, 3, 20]',
      );
      expect(await failure(() => fp4Matmul(square, cube))).toBe(
        'QUTLASS_E_SHAPE b: expected a matrix [N, K], got [1, 3, 20]',
      );
      expect(await failure(() => fp4Matmul(square, b, { c }))).toBe(
        'QUTLASS_E_SHAPE c: expected shape [3, 5], got [5, 3]',
      );
      expect(await failure(() => fp4Linear(a, b))).toBe(
        'QUTLASS_E_SHAPE x: expected shape [.., 20], got [3, 17]',
      );
      expect(await failure(() => fp4Quantize(b, a))).toBe(
        'QUTLASS_E_SHAPE bias: expected shape [5], got [3, 17]',
      );
    });
  });

  it('a cache is a QuantLinear', () => {
    using weight = randomTensor([5, 20]);
    using cache = fp4Quantize(weight);
    expect(cache).toBeInstanceOf(QuantLinear);
    expect(String(cache)).toBe('QuantLinear(20 -> 5, nvfp4, activations nvfp4, 4.70 bits per weight)');
  });
});
