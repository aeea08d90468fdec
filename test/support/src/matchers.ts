import { expect } from 'vitest';
import { type Product, productBound } from './matmul.js';

export interface WithinBoundOptions {
  outDType: 'f32' | 'bf16' | 'f16';
  /** Of the kernel, as the registry names it. */
  accumulator: string;
}

interface QutlassMatchers<R> {
  /** The error of a product is within the contract's bound for its accumulator and output dtype. */
  toBeWithinBound(product: Product, options: WithinBoundOptions): R;
}

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: as vitest declares it
  interface Matchers<T = any> extends QutlassMatchers<T> {}
}

const LARGEST = { f32: 3.4028234663852886e38, bf16: 3.3895313892515355e38, f16: 65504 } as const;

expect.extend({
  toBeWithinBound(
    actual: ArrayLike<number>,
    product: Product,
    { outDType, accumulator }: WithinBoundOptions,
  ) {
    const { exact } = product;
    if (actual.length !== exact.length) {
      return { pass: false, message: () => `expected ${exact.length} elements, got ${actual.length}` };
    }
    const bound = productBound(product, outDType, accumulator);
    const within = (value: number, i: number) => {
      const [expected, tolerance] = [exact[i] as number, bound[i] as number];
      if (Number.isNaN(expected)) return Number.isNaN(value);
      // A number beyond the range of the output is infinite there.
      const overflows = Math.abs(expected) + tolerance >= LARGEST[outDType];
      if (Math.abs(value) === Infinity) return overflows && Math.sign(value) === Math.sign(expected);
      return Math.abs(value - expected) <= tolerance;
    };
    const wrong = Array.from(exact.keys()).filter((i) => !within(actual[i] as number, i));
    const [first] = wrong;
    return {
      pass: first === undefined,
      message: () =>
        first === undefined
          ? 'expected an element outside of the bound'
          : `${wrong.length} of ${exact.length} elements are outside of the bound, the first at ${first}: ` +
            `expected ${exact[first]} +- ${bound[first]}, got ${actual[first]}`,
    };
  },
});
