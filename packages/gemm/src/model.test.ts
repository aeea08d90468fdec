import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HARDWARE, loadBinding, predictSeconds, type Workload } from './index.js';

const h200 = HARDWARE.find(({ name }) => name === 'H200')!;

const tiles = {
  tile: [64, 64, 32],
  peakFraction: 0.5,
  precision: 'bf16',
  decodePerClock: 0,
  bandwidthFraction: 0.8,
  maxM: 0,
} as const;

const square: Workload = { m: 8192, n: 8192, k: 8192, bytes: 6 * 8192 ** 2, a: 'bf16', b: 'bf16' };

describe('the prediction', () => {
  it('is the launch, and waves of tiles at the rate of the kernel', () => {
    // 128 x 128 tiles on 132 multiprocessors are 125 waves, the last not full.
    const wave = (132 * 2 * 64 * 64 * 8192) / (0.5 * 989.4e12);
    expect(predictSeconds(tiles, square, h200)).toBeCloseTo(1.3e-6 + 125 * wave, 12);
    // One tile takes as long as one for every multiprocessor, and one more a second wave.
    const of = (columns: number) =>
      predictSeconds(tiles, { ...square, m: 64, n: 64 * columns, bytes: 1 }, h200);
    expect(of(132)).toBe(of(1));
    expect(of(133) - h200.launchSeconds).toBeCloseTo(2 * wave, 12);
  });

  it('is the time to move the bytes where that is longer', () => {
    const row: Workload = { ...square, m: 1, bytes: 8192 ** 2 * 2 };
    expect(predictSeconds({ ...tiles, peakFraction: 1 }, row, h200)).toBeCloseTo(
      1.3e-6 + (8192 ** 2 * 2) / (0.8 * 4.8e12),
      12,
    );
  });

  it('counts codes that are decoded, for every tile', () => {
    const decoding = { ...tiles, decodePerClock: 32 };
    const one: Workload = { ...square, m: 64, n: 64, bytes: 1 };
    const plain = predictSeconds(tiles, one, h200);
    expect(predictSeconds(decoding, one, h200)).toBe(plain);
    const weight = predictSeconds(decoding, { ...one, b: 'nvfp4' }, h200) - plain;
    expect(weight).toBeCloseTo((64 * 8192) / (32 * 1.98e9), 12);
    const both = predictSeconds(decoding, { ...one, a: 'nvfp4', b: 'nvfp4' }, h200) - plain;
    expect(both).toBeCloseTo(2 * weight, 12);
  });

  it('counts the products of split values, for kernels on bf16', () => {
    const compute = (rest: Partial<Workload>) =>
      predictSeconds(tiles, { ...square, ...rest }, h200) - h200.launchSeconds;
    expect(compute({ a: 'f32' })).toBeCloseTo(2 * compute({}), 9);
    expect(compute({ a: 'f32', b: 'f32' })).toBeCloseTo(5 * compute({}), 9);
    const f32 = { ...tiles, precision: 'f32' };
    expect(predictSeconds(f32, { ...square, a: 'f32', b: 'f32' }, h200)).toBe(
      predictSeconds(f32, square, h200),
    );
  });

  it('takes all of M in one tile where M is limited', () => {
    const rows = { ...tiles, tile: [1, 16, 32] as const, precision: 'f32', maxM: 8 };
    const of = (m: number) => predictSeconds(rows, { ...square, m, bytes: 1 }, h200) - h200.launchSeconds;
    // 512 tiles in 4 waves.
    expect(of(1)).toBeCloseTo((4 * 132 * 2 * 16 * 8192) / (0.5 * 66.9e12), 12);
    expect(of(8)).toBeCloseTo(8 * of(1), 12);
  });

  it('is infinite without units of the precision', () => {
    expect(predictSeconds({ ...tiles, precision: 'fp4' }, square, h200)).toBe(Number.POSITIVE_INFINITY);
  });

  it('does not fall when a problem grows, nor when hardware shrinks', () => {
    const extent = fc.integer({ min: 1, max: 20000 });
    const kind = fc.constantFrom<Workload['a']>('f32', 'bf16', 'nvfp4', 'int8', 'nf4');
    fc.assert(
      fc.property(
        fc.constantFrom(...loadBinding().kernels(), tiles),
        fc.constantFrom(...HARDWARE),
        fc.record({ m: extent, n: extent, k: extent, a: kind, b: kind }),
        fc.constantFrom('m' as const, 'n' as const, 'k' as const),
        extent,
        (kernel, gpu, extents, dimension, more) => {
          const of = (x: typeof extents, hardware = gpu) =>
            predictSeconds(kernel, { ...x, bytes: x.m * x.k + x.n * x.k + 2 * x.m * x.n }, hardware);
          const seconds = of(extents);
          expect(seconds).toBeGreaterThan(0);
          const larger = { ...extents, [dimension]: extents[dimension] + more };
          expect(of(larger)).toBeGreaterThanOrEqual(seconds);
          const slower = { ...gpu, memoryBandwidth: gpu.memoryBandwidth / 2 };
          expect(of(extents, slower)).toBeGreaterThanOrEqual(seconds);
          if (seconds < Number.POSITIVE_INFINITY) expect(of(extents)).toBeGreaterThan(gpu.launchSeconds);
        },
      ),
    );
  });
});
