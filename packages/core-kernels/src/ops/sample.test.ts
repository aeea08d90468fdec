import { philox } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { Tensor } from '../tensor.js';
import { type SamplingOptions, sample } from './model.js';

/** Tokens drawn from one row of logits, with the counters 0, 1, 2 and so on. */
async function draw(logits: readonly number[], count: number, options: SamplingOptions): Promise<number[]> {
  const tokens: number[] = [];
  using row = Tensor.from(logits, { shape: [1, logits.length] });
  for (let i = 0; i < count; ++i) {
    using counter = Tensor.from(Int32Array.of(i), { shape: [1], dtype: 'i32' });
    using out = sample(row, counter, options);
    tokens.push((await out.toArray())[0] as number);
  }
  return tokens;
}

const LOGITS = [1, 3, -2, 2.5, 0, Number.NEGATIVE_INFINITY, 2.9, Number.NaN];

/** Classes by falling logit. */
const RANKED = [1, 6, 3, 0, 4, 2];

/** What a draw by inversion gives: the first of the classes, by index, where the weights so far exceed u of their sum. */
function expectedDraw(classes: readonly number[], temperature: number, u: number): number {
  const ordered = [...classes].sort((a, b) => a - b);
  const weights = ordered.map((i) => Math.exp(((LOGITS[i] as number) - 3) / temperature));
  let rest = u * weights.reduce((sum, weight) => sum + weight, 0);
  return ordered.find((_, i) => {
    rest -= weights[i] as number;
    return rest < 0;
  }) as number;
}

const uniform = (seed: bigint, counter: number) =>
  Number(philox(seed, [BigInt(counter), 0n, 0n, 0n])[0]! >> 8n) / 2 ** 24;

describe('a row draws with the counter (its own, its index, 0, 0) under the seed as key', () => {
  it.each([
    { name: 'all', options: {}, classes: RANKED },
    { name: 'topK', options: { topK: 3 }, classes: RANKED.slice(0, 3) },
    // exp(0), exp(-0.1), exp(-0.5), .. over 2.68 have the masses 0.37, 0.34, 0.23, ..
    { name: 'topP', options: { topP: 0.6 }, classes: RANKED.slice(0, 2) },
    { name: 'topK, then topP of what is left', options: { topK: 2, topP: 0.5 }, classes: RANKED.slice(0, 1) },
  ])('from the softmax: $name', async ({ options, classes }) => {
    const tokens = await draw(LOGITS, 300, { ...options, temperature: 1, seed: 42 });
    expect(tokens).toEqual(tokens.map((_, i) => expectedDraw(classes, 1, uniform(42n, i))));
    expect(new Set(tokens).size).toBeGreaterThanOrEqual(Math.min(classes.length, 4));
  });

  it('at a low temperature', async () => {
    const tokens = await draw(LOGITS, 100, { temperature: 0.2, seed: 7 });
    expect(tokens).toEqual(tokens.map((_, i) => expectedDraw(RANKED, 0.2, uniform(7n, i))));
  });
});
