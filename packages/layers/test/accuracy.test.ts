import { type Format, fp8, hadamard, int4, int8, mxfp4, mxfp8, nvfp4 } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import { evaluate, Llama, quantizeModel, type Recipe } from '../src/index.js';
import { device, reference, tinyLlama } from './support.js';

// Losses that an independent float64 program found for the same weights and formats.

const { heldOut } = await reference();

async function lossOf(recipe?: Recipe, dtype: 'f32' | 'bf16' = 'f32'): Promise<number> {
  using model = await Llama.load(tinyLlama, { device, dtype });
  if (recipe) await quantizeModel(model, recipe);
  const { loss, tokens } = await evaluate(model, heldOut);
  expect(tokens).toBe(7802);
  return loss;
}

async function expectLoss(
  expected: number,
  tolerance: number,
  ...of: Parameters<typeof lossOf>
): Promise<void> {
  expect(Math.abs((await lossOf(...of)) - expected)).toBeLessThan(tolerance);
}

describe('the held-out loss of tiny-llama', () => {
  it('is the float64 one', () => expectLoss(1.96245, 1e-4));
  it('is the float64 one but for rounding with bfloat16 activations', () =>
    expectLoss(1.96245, 0.002, undefined, 'bf16'));

  it.each<[string, Format, number]>([
    ['int8 row', int8(), 1.9626],
    ['mxfp8 floor', mxfp8(), 1.9651],
    ['fp8 row', fp8(), 1.9689],
    ['int4 group 32', int4({ group: 32 }), 1.9977],
    ['nvfp4', nvfp4(), 2.0046],
    ['mxfp4 floor', mxfp4(), 2.0211],
  ])('with %s weights', (_, format, expected) => expectLoss(expected, 0.004, { format }));

  it('with rotated int4 weights stays that of int4, activations rotated inside or before the product', async () => {
    const recipe = { format: int4({ group: 32 }), rotation: hadamard(32) };
    const inside = await lossOf(recipe);
    expect(Math.abs(inside - 1.9977)).toBeLessThan(0.03);
    const before = await lossOf({ ...recipe, activations: int8() });
    expect(Math.abs(before - inside)).toBeLessThan(0.01);
  });
});
