import { describe, expect, it } from 'vitest';
import { accuracyResults, modelRow } from '../test-support.js';
import { deviation, isErrorOff, isLossOff } from './check.js';

const [row] = accuracyResults().errors;

describe('isErrorOff', () => {
  it.each([
    [0.97, false],
    [1.03, false],
    [0.96, true],
    [1.04, true],
  ])('judges %f of the expected error with a tolerance of 3 %', (factor, off) => {
    // A little inside, as the product is rounded.
    const relativeSquaredError = row!.expected! * (1 + (factor - 1) * (1 - 1e-9));
    expect(isErrorOff({ ...row!, relativeSquaredError })).toBe(off);
  });

  it('has nothing to say without an expected error', () => {
    const unknown = { ...row!, expected: null, tolerance: null };
    expect(deviation(unknown)).toBeNull();
    expect(isErrorOff(unknown)).toBe(false);
  });
});

it('a loss is off beyond 0.004, or if it is not a number', () => {
  const off = (loss: number) => isLossOff(modelRow({ loss, expectedLoss: 2 }));
  expect([1.997, 2.003, 1.995, 2.005, Number.NaN].map(off)).toEqual([false, false, true, true, true]);
  expect(isLossOff(modelRow({ loss: 5, expectedLoss: null }))).toBe(false);
});
