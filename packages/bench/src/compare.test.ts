import { describe, expect, it } from 'vitest';
import { compareResults } from './compare.js';
import {
  accuracyResults,
  demoResults,
  gemmResults,
  gemmRow,
  gpu,
  modelRow,
  spread,
  timedResults,
} from './test-support.js';

const gemm = (seconds: ReturnType<typeof spread>) => gemmResults([gemmRow({ seconds })]);

describe('compareResults', () => {
  const before = gemm(spread(1, 0.9, 1.1));
  it.each([
    ['lower time with spreads apart', spread(0.5, 0.4, 0.6), 'better', 0.5],
    ['higher time with spreads apart', spread(2, 1.5, 2.5), 'worse', 2],
    ['a slower median within the noise', spread(1.15, 1.05, 1.3), 'same', 1.15],
    ['spreads that touch', spread(1.2, 1.1, 1.3), 'same', 1.2],
    ['the same', spread(1, 0.9, 1.1), 'same', 1],
  ] as const)('judges %s', (_name, seconds, verdict, ratio) => {
    const { compared } = compareResults(before, gemm(seconds));
    expect(compared.at(-1)).toMatchObject({ verdict, ratio, quantity: 'seconds' });
    // The limits, which did not move.
    expect(compared.slice(0, -1).map((entry) => entry.verdict)).toEqual(['same', 'same', 'same']);
  });

  it('knows that more tokens per second are better, and that losses reproduce', () => {
    const after = demoResults([modelRow({ tokensPerSecond: spread(200, 190, 210), loss: 2.0056 })]);
    expect(compareResults(demoResults([modelRow()]), after).compared).toMatchObject([
      { key: 'nvfp4', quantity: 'loss', verdict: 'worse' },
      { key: 'nvfp4', quantity: 'tokens per second', verdict: 'better', ratio: 2 },
    ]);
  });

  it('allows for another order of float32 sums in a loss', () => {
    const after = demoResults([modelRow({ loss: 2.0046 * (1 + 1e-6) })]);
    expect(compareResults(demoResults([modelRow()]), after).compared[0]?.verdict).toBe('same');
  });

  it('compares errors of distributions, formats and rotations', () => {
    const { compared } = compareResults(accuracyResults(), accuracyResults());
    expect(compared.map(({ key }) => key)).toEqual(
      expect.arrayContaining(['nvfp4 on N(0,1)', 'nvfp4 + hadamard(16) on N(0,1)']),
    );
    expect(compared.every(({ verdict, ratio }) => verdict === 'same' && ratio === 1)).toBe(true);
  });

  it('lists what only one file has', () => {
    const after = gemmResults([gemmRow({ weight: 'mxfp4' })]);
    const report = compareResults(gemmResults([gemmRow()]), after);
    expect(report.compared.map(({ key }) => key)).toEqual([
      ...['reading memory', 'copying memory', 'kernel on one element'],
    ]);
    expect(report.removed).toEqual(['1 x 4096 x 4096 f32 x nvfp4 cpu.f32.avx2 cold, seconds']);
    expect(report.added).toEqual(['1 x 4096 x 4096 f32 x mxfp4 cpu.f32.avx2 cold, seconds']);
  });

  it('warns of another machine', () => {
    const other = { ...before, machine: { ...before.machine, threads: 8 } };
    expect(compareResults(before, other).warnings).toEqual(['threads: 2 before, 8 after']);
    expect(compareResults(before, before).warnings).toEqual([]);
    expect(compareResults(before, { ...before, gpu }).warnings).toEqual(['gpu: none before, Test GPU after']);
  });

  it.each(Object.entries(timedResults))('compares every quantity of suite %s once', (_suite, results) => {
    const { compared, removed, added } = compareResults(results, results);
    expect(compared.length).toBeGreaterThanOrEqual(results.rows.length);
    const names = compared.map(({ key, quantity }) => `${key}, ${quantity}`);
    expect(new Set(names).size).toBe(names.length);
    expect({ removed, added }).toEqual({ removed: [], added: [] });
  });

  it('refuses files of different suites', () => {
    expect(() => compareResults(before, demoResults())).toThrow(
      'compare: expected two files of suite gemm, got demo',
    );
  });
});
