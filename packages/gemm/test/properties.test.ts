import { Random } from '@qutlass/test-support';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FORMAT_PAIRS, FORMATS, matmul, prepare } from '../src/index.js';
import { cases, check, innerExtent, quantized, SEED, sample } from './cases.js';
import { denseValues, quantizedValues } from './operands.js';

// Products of random operands are those of float64, in every kernel.

describe('products of float tensors', () => {
  it('are those of float64, for any dtypes and shapes', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.integer({ min: 1, max: 400 }), async (c, k) => {
        const random = new Random(c.seed);
        using a = sample(random, c.m, k, c.aDType);
        using b = sample(random, c.n, k, c.bDType);
        using deep = c.leading ? a.reshape([1, c.m, k]) : undefined;
        await check(c, deep ?? a, b, { a: await denseValues(a), b: await denseValues(b) });
      }),
      { numRuns: 40, seed: SEED },
    );
  });

  it('keep the leading dimensions of a', async () => {
    using a = sample(new Random(1), 12, 40, 'f32');
    using deep = a.reshape([3, 4, 40]);
    using b = sample(new Random(2), 5, 40, 'f32');
    using flat = matmul(a, b);
    using y = matmul(deep, b);
    expect(y.shape).toEqual([3, 4, 5]);
    expect(await y.toBytes()).toEqual(await flat.toBytes());
  });
});

describe('quantized weights', () => {
  it.each(FORMATS)('of $name under float activations', async (format) => {
    await fc.assert(
      fc.asyncProperty(cases, async (c) => {
        const random = new Random(c.seed);
        const k = innerExtent(c.groups, [format]);
        using a = sample(random, c.m, k, c.aDType);
        using deep = c.leading ? a.reshape([1, c.m, k]) : undefined;
        using w = quantized(random, format, [c.n, k], c.bLayout);
        using weight = c.prepared ? prepare(w) : undefined;
        await check(c, deep ?? a, weight ?? w, { a: await denseValues(a), b: await quantizedValues(w) });
      }),
      { numRuns: 12, seed: SEED },
    );
  });
});

const PAIRS = Object.entries(FORMAT_PAIRS).flatMap(([a, partners]) =>
  partners.map((b) => ({ a, b: b as string })),
);
const ofKind = (kind: string) => FORMATS.filter((format) => format.kind === kind);

describe('quantized pairs', () => {
  it('are those of the type', () => {
    expect(PAIRS.map(({ a, b }) => `${a} ${b}`)).toEqual([
      'mxfp4 mxfp4',
      'mxfp4 mxfp8',
      'mxfp8 mxfp8',
      'mxfp8 mxfp4',
      'nvfp4 nvfp4',
      'fp8 fp8',
      'int8 int8',
      'int8 int4',
      'int4 int4',
      'int4 int8',
    ]);
  });

  it.each(PAIRS)('$a x $b', async (kinds) => {
    await fc.assert(
      fc.asyncProperty(
        cases,
        fc.constantFrom(...ofKind(kinds.a)),
        fc.constantFrom(...ofKind(kinds.b)),
        async (c, left, right) => {
          const random = new Random(c.seed);
          const k = innerExtent(c.groups, [left, right]);
          using a = quantized(random, left, [c.m, k], c.aLayout);
          using b = quantized(random, right, [c.n, k], c.bLayout);
          using weight = c.prepared ? prepare(b) : undefined;
          await check(c, a, weight ?? b, { a: await quantizedValues(a), b: await quantizedValues(b) });
        },
      ),
      { numRuns: 25, seed: SEED },
    );
  });
});
