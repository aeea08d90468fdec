import { Random, referenceMatmul, roundBf16 } from '@qutlass/test-support';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  formatByName,
  hadamard,
  matmul,
  nvfp4,
  prepare,
  type Rotation,
  rotate,
  rotation,
  Tensor,
} from '../src/index.js';
import { cases, check, innerExtent, quantized, SEED, sample } from './cases.js';
import { denseValues, quantizedValues } from './operands.js';

// Products with rotated weights.

const rotations = fc.record({
  size: fc.constantFrom(16, 32, 64, 128),
  seed: fc.option(fc.integer({ min: 0, max: 1000 })),
});
const rotationOf = ({ size, seed }: { size: number; seed: number | null }) =>
  hadamard(size, seed === null ? {} : { seed });

/** H, row-major, as the rotation of the rows of the identity. */
async function matrixOf(by: Rotation): Promise<Float32Array> {
  const { size } = by;
  using unit = Tensor.from(
    Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
    { shape: [size, size] },
  );
  using rows = rotate(unit, by);
  return rows.toFloat32Array();
}

/** Blocks of x times a matrix in float64, x rounded to bf16 as the contract has it. */
function rotateValues(x: Float64Array, matrix: Float32Array, size: number, of: (value: number) => number) {
  const out = new Float64Array(x.length);
  for (let block = 0; block < x.length; block += size) {
    for (let i = 0; i < size; ++i) {
      const value = of(roundBf16(x[block + i] as number));
      for (let j = 0; j < size; ++j) out[block + j]! += value * of(matrix[i * size + j] as number);
    }
  }
  return out;
}

/** The mean of diag(H H^T). */
function gainOf(matrix: Float32Array, size: number): number {
  return matrix.reduce((sum, value) => sum + value * value, 0) / size;
}

const ROTATED = ['mxfp4', 'nvfp4', 'mxfp8', 'fp8-row', 'int8-row', 'int4-g128-asym', 'nf4'].map(formatByName);

describe('rotated operands', () => {
  it('are rotated by the Sylvester Hadamard matrix', async () => {
    const matrix = await matrixOf(hadamard(16));
    const parity = (x: number) => [...x.toString(2)].filter((bit) => bit === '1').length % 2;
    matrix.forEach((value, i) => {
      expect(value).toBe(parity((i >> 4) & (i & 15)) ? -0.25 : 0.25);
    });
  });

  it.each(ROTATED)('of $name: a float a is rotated on the way in', async (format) => {
    await fc.assert(
      fc.asyncProperty(cases, rotations, async (c, choice) => {
        const random = new Random(c.seed);
        const by = rotationOf(choice);
        const k = innerExtent(c.groups, [format], by.size);
        const matrix = await matrixOf(by);
        using a = sample(random, c.m, k, c.aDType);
        using deep = c.leading ? a.reshape([1, c.m, k]) : undefined;
        using w = quantized(random, format, [c.n, k], c.bLayout, by);
        using weight = c.prepared ? prepare(w) : undefined;
        const values = await denseValues(a);
        await check(c, deep ?? a, weight ?? w, {
          a: rotateValues(values, matrix, by.size, (value) => value),
          b: await quantizedValues(w),
          gain: gainOf(matrix, by.size),
          aMagnitude: rotateValues(values, matrix, by.size, Math.abs),
        });
      }),
      { numRuns: 12, seed: SEED },
    );
  });

  it.each(ROTATED.filter(({ kind }) => kind !== 'nf4'))('of $name on both sides', async (format) => {
    await fc.assert(
      fc.asyncProperty(cases, rotations, async (c, choice) => {
        const random = new Random(c.seed);
        const by = rotationOf(choice);
        const k = innerExtent(c.groups, [format], by.size);
        using a = quantized(random, format, [c.m, k], c.aLayout, by);
        // An equal rotation, not the same object.
        using b = quantized(random, format, [c.n, k], c.bLayout, rotationOf(choice));
        const matrix = await matrixOf(by);
        await check(c, a, b, {
          a: await quantizedValues(a),
          b: await quantizedValues(b),
          gain: gainOf(matrix, by.size),
        });
      }),
      { numRuns: 12, seed: SEED },
    );
  });

  it('cancel, whatever the matrix is', async () => {
    // A rotation by 30 degrees of every pair, whose bf16 entries are orthogonal up to their common length.
    const [cos, sin] = [Math.cos(Math.PI / 6), Math.sin(Math.PI / 6)].map(roundBf16) as [number, number];
    const by = rotation([cos, sin, -sin, cos], 2);
    const random = new Random(7);
    using a = sample(random, 5, 64, 'bf16');
    using w = quantized(random, nvfp4(), [9, 64], 'row', by);
    using plain = dequantize(w);
    using y = matmul(a, w, { outDType: 'f32' });
    const product = referenceMatmul(await denseValues(a), await denseValues(plain), [5, 9, 64]);
    expect(await denseValues(y)).toBeWithinBound(product, { outDType: 'f32', accumulator: 'f32' });
  });
});
