import { goldenFiles, type Product, referenceMatmul } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { type FloatDType, type OperandA, type OperandB, prepare, Tensor } from '../src/index.js';
import { attempt, denseValues, GOLDEN_FORMATS, goldenOperand, KERNELS } from './operands.js';

// One suite over every kernel that the device has: a kernel refuses a problem as unsupported, or its result is within
// the bound of the contract for its accumulator.

/** Runs all kernels; returns what those that accepted the problem and run unasked sum in. */
async function conform(
  a: OperandA,
  b: OperandB,
  bias: Tensor<FloatDType>,
  product: Product,
  outDTypes: readonly FloatDType[] = ['bf16', 'f16', 'f32'],
) {
  const accumulators = new Set<string>();
  for (const kernel of KERNELS) {
    for (const outDType of outDTypes) {
      using out = attempt(kernel, a, b, { bias, outDType });
      if (!out) continue;
      const { accumulator } = kernel;
      if (!kernel.onRequest) accumulators.add(accumulator);
      expect(await denseValues(out), `${kernel.name} -> ${outDType}`).toBeWithinBound(product, {
        outDType,
        accumulator,
      });
    }
  }
  return [...accumulators].sort();
}

for (const golden of goldenFiles('gemm_')) {
  const [m = 0, k = 0] = golden.shape('a');
  const [n = 0] = golden.shape('w');
  const values = golden.floats('a');
  const bias = Tensor.from(golden.floats('bias'), { shape: [n] });
  const dense = (name: 'a' | 'w', dtype: FloatDType) =>
    Tensor.from(golden.floats(name), { shape: golden.shape(name), dtype });
  const multiply = (a: ArrayLike<number>, w: ArrayLike<number>) =>
    referenceMatmul(a, w, [m, n, k], { bias: golden.floats('bias') });

  /** The oracle rounds its dequantized operands and its product to float32. */
  const confirm = (product: Product, expected: Float32Array) => {
    const bound = product.exact.map(
      (exact, i) => 2 ** -23 * (Math.abs(exact) + (product.magnitude[i] as number)),
    );
    const far = product.exact.findIndex((exact, i) => !(Math.abs(exact - expected[i]!) <= bound[i]!));
    expect(far, 'first element that differs from the oracle').toBe(-1);
  };

  describe(golden.name, () => {
    it('is multiplied dense', async () => {
      const product = multiply(values, golden.floats('w'));
      for (const [aDType, wDType] of [
        ['bf16', 'bf16'],
        ['f32', 'bf16'],
        ['bf16', 'f32'],
      ] as const) {
        using a = dense('a', aDType);
        using w = dense('w', wDType);
        expect(await conform(a, w, bias, product)).toEqual(expect.arrayContaining(['f32', 'f64']));
      }
    });

    const quantizers = golden.quantizers('both');

    it('has the quantizers of the contract', () => {
      expect(quantizers.sort()).toEqual(Object.keys(GOLDEN_FORMATS).sort());
    });

    it.each(quantizers)('%s weights under dense activations', async (quantizer) => {
      const w = goldenOperand(golden, quantizer, 'w');
      const product = multiply(values, w.values);
      confirm(product, golden.floats(`${quantizer}.weight_only`));
      using a = dense('a', 'bf16');
      using wide = dense('a', 'f32');
      using weight = w.operand;
      using prepared = prepare(weight);
      const sums = expect.arrayContaining(['f32', 'f64']);
      expect(await conform(a, weight, bias, product)).toEqual(sums);
      expect(await conform(a, prepared, bias, product)).toEqual(sums);
      expect(await conform(wide, prepared, bias, product, ['f32'])).toEqual(sums);
      expect(await conform(wide, weight, bias, product, ['f32'])).toEqual(sums);
    });

    it.each(quantizers)('%s weights and activations', async (quantizer) => {
      const a = goldenOperand(golden, quantizer, 'a');
      const w = goldenOperand(golden, quantizer, 'w');
      const product = multiply(a.values, w.values);
      confirm(product, golden.floats(`${quantizer}.both`));
      using activation = a.operand;
      using weight = w.operand;
      using prepared = prepare(weight);
      for (const b of [weight, prepared]) {
        const sums = await conform(activation, b, bias, product);
        // Sums of integers have no rounding error, so kernels that would make one refuse them.
        if (quantizer.startsWith('int')) expect(sums).toEqual(['f64', 'i32']);
        else expect(sums).toEqual(expect.arrayContaining(['f32', 'f64']));
      }
    });
  });
}
