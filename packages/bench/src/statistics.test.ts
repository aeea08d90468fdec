import { describe, expect, it } from 'vitest';
import { exact, mean, quantile, relativeSquaredError, standardError, summarize } from './statistics.js';

describe('quantile', () => {
  it('interpolates as definition 7 does', () => {
    // R: quantile(c(15, 20, 35, 40, 50), c(0, .1, .4, .5, .9, 1), type = 7)
    const values = [50, 15, 40, 20, 35];
    const expected = { 0: 15, 0.1: 17, 0.4: 29, 0.5: 35, 0.9: 46, 1: 50 };
    for (const [q, value] of Object.entries(expected))
      expect(quantile(values, Number(q))).toBeCloseTo(value, 12);
  });

  it('is the mean of the middle two of an even number of values', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
  });

  it('of one value is that value', () => {
    expect(summarize([7])).toEqual(exact(7));
  });

  it('leaves its input in order', () => {
    const values = [3, 1, 2];
    quantile(values, 0.5);
    expect(values).toEqual([3, 1, 2]);
  });

  it('refuses no values and q outside 0 to 1', () => {
    expect(() => quantile([], 0.5)).toThrow(
      'quantile: expected values and q from 0 to 1, got 0 values, q = 0.5',
    );
    expect(() => quantile([1], 1.1)).toThrow(RangeError);
    expect(() => quantile([1], Number.NaN)).toThrow(RangeError);
  });
});

describe('relativeSquaredError', () => {
  it('is the squared error over the squared norm', () => {
    const x = Float32Array.of(3, 4);
    expect(relativeSquaredError(x, x)).toBe(0);
    expect(relativeSquaredError(x, Float32Array.of(3, 3))).toBe(1 / 25);
    expect(relativeSquaredError(x, new Float32Array(2))).toBe(1);
  });

  it('refuses different lengths', () => {
    expect(() => relativeSquaredError(new Float32Array(2), new Float32Array(3))).toThrow(RangeError);
  });
});

it('standardError is s / sqrt(n), with s of n - 1 degrees of freedom', () => {
  // R: x <- c(2, 4, 4, 4, 5, 5, 7, 9); mean(x); sd(x) / sqrt(8)
  const values = [2, 4, 4, 4, 5, 5, 7, 9];
  expect(mean(values)).toBe(5);
  expect(standardError(values)).toBeCloseTo(0.7559289460184544, 14);
  expect(standardError([3])).toBe(0);
});
