import { describe, expect, it } from 'vitest';
import { type Distribution, randomMatrix, shuffled, uniform } from './random.js';

/** Mean, variance and the share of values with an absolute value above a limit. */
function describeSample(values: Float32Array, limit: number) {
  let sum = 0;
  let squares = 0;
  let above = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
    if (Math.abs(value) > limit) ++above;
  }
  const mean = sum / values.length;
  return { mean, variance: squares / values.length - mean * mean, above: above / values.length };
}

describe('uniform', () => {
  it('repeats for a seed and differs between seeds', () => {
    const draw = (seed: number) => Array.from({ length: 8 }, uniform(seed));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('fills (0, 1) evenly', () => {
    const next = uniform(0);
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 160_000; ++i) counts[Math.floor(next() * 16)]!++;
    // Six standard deviations of a count of mean 10000.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(600);
  });
});

describe('shuffled', () => {
  it('draws every order equally often', () => {
    const next = uniform(0);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; ++i) {
      const order = shuffled(3, next).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(['0,1,2', '0,2,1', '1,0,2', '1,2,0', '2,0,1', '2,1,0']);
    // Six standard deviations of a count of mean 1000.
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(180);
  });
});

describe('randomMatrix', () => {
  // P(|x| > 2) is erfc(sqrt 2), exp(-2), and the two-sided p-value of t = 2 with 4 degrees of freedom.
  const expected: Record<Exclude<Distribution, 'outliers'>, { variance: number; above: number }> = {
    normal: { variance: 1, above: 0.0455 },
    laplace: { variance: 2, above: Math.exp(-2) },
    student_t4: { variance: 2, above: 0.1161 },
  };
  it.each(Object.entries(expected))('draws %s', (distribution, { variance, above }) => {
    const sample = describeSample(randomMatrix(distribution as Distribution, 500, 1000), 2);
    expect(sample.mean).toBeCloseTo(0, 2);
    expect(sample.above).toBeCloseTo(above, 2);
    expect(Math.abs(sample.variance / variance - 1)).toBeLessThan(0.05);
  });

  it('multiplies every 128th column by 20', () => {
    const plain = randomMatrix('normal', 3, 256, 7);
    const outliers = randomMatrix('outliers', 3, 256, 7);
    const ratios = Array.from(outliers, (value, i) => value / plain[i]!);
    expect(ratios.every((ratio, i) => Math.abs(ratio - (i % 128 === 0 ? 20 : 1)) < 1e-5)).toBe(true);
  });
});
