import { expect } from 'vitest';
import { type Product, productBound } from './matmul.js';

export interface WithinBoundOptions {
  outDType: 'f32' | 'bf16' | 'f16';
  /** Of the kernel, as the registry names it. */
  accumulator: string;
}

interface QutlassMatchers<R> {
  /** The same bytes; a difference is reported by index, not as a dump of both. */
  toEqualBytes(expected: Uint8Array | readonly number[]): R;
  /** Values of the same bits, NaN equal to NaN. */
  toEqualValues(expected: ArrayLike<number>): R;
  /** Every abs(value - expected) <= relative * abs(expected) + absolute. */
  toBeNear(expected: ArrayLike<number>, tolerance: { relative?: number; absolute?: number }): R;
  /** The error of a product is within the contract's bound for its accumulator and output dtype. */
  toBeWithinBound(product: Product, options: WithinBoundOptions): R;
}

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: as vitest declares it
  interface Matchers<T = any> extends QutlassMatchers<T> {}
}

const LARGEST = { f32: 3.4028234663852886e38, bf16: 3.3895313892515355e38, f16: 65504 } as const;

/** The first index where the two differ, or a difference of lengths, as the result of a matcher. */
function compare(
  length: number,
  expected: number,
  differs: (i: number) => boolean,
  describe: (i: number) => string,
) {
  if (length !== expected) return { pass: false, message: () => `expected ${expected} elements, got ${length}` };
  const wrong: number[] = [];
  for (let i = 0; i < length; ++i) if (differs(i)) wrong.push(i);
  const [first] = wrong;
  return {
    pass: first === undefined,
    message: () =>
      first === undefined
        ? 'expected a difference'
        : `${wrong.length} of ${length} elements differ, the first at ${first}: ${describe(first)}`,
  };
}

const at = (array: ArrayLike<number>, i: number) => array[i] as number;

expect.extend({
  toEqualBytes(actual: Uint8Array, expected: ArrayLike<number>) {
    return compare(
      actual.length,
      expected.length,
      (i) => actual[i] !== expected[i],
      (i) => `expected ${at(expected, i)}, got ${at(actual, i)}`,
    );
  },

  toEqualValues(actual: ArrayLike<number>, expected: ArrayLike<number>) {
    return compare(
      actual.length,
      expected.length,
      (i) => !Object.is(actual[i], expected[i]),
      (i) => `expected ${at(expected, i)}, got ${at(actual, i)}`,
    );
  },

  toBeNear(
    actual: ArrayLike<number>,
    expected: ArrayLike<number>,
    { relative = 0, absolute = 0 }: { relative?: number; absolute?: number },
  ) {
    const bound = (i: number) => relative * Math.abs(at(expected, i)) + absolute;
    return compare(
      actual.length,
      expected.length,
      (i) => !(Math.abs(at(actual, i) - at(expected, i)) <= bound(i)),
      (i) => `expected ${at(expected, i)} +- ${bound(i)}, got ${at(actual, i)}`,
    );
  },

  toBeWithinBound(actual: ArrayLike<number>, product: Product, { outDType, accumulator }: WithinBoundOptions) {
    const bound = productBound(product, outDType, accumulator);
    const largest = LARGEST[outDType];
    const near = (i: number) => {
      const value = at(actual, i);
      const exact = at(product.exact, i);
      if (Number.isNaN(exact)) return Number.isNaN(value);
      // A number beyond the range of the output is infinite there.
      if (Math.abs(exact) + at(bound, i) >= largest && Math.abs(value) === Infinity)
        return Math.sign(value) === Math.sign(exact);
      return Math.abs(value - exact) <= at(bound, i);
    };
    return compare(
      actual.length,
      product.exact.length,
      (i) => !near(i),
      (i) => `expected ${at(product.exact, i)} +- ${at(bound, i)}, got ${at(actual, i)}`,
    );
  },
});
