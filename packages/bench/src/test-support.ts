import type { AccuracyResults, DemoResults, GemmResults, GemmRow, ModelRow } from './results/types.js';
import { exact, type Spread } from './statistics.js';

// Results for tests, complete but small.

const run = {
  schemaVersion: 1,
  machine: { cpu: 'Test CPU', isa: 'avx2', threads: 2, memoryBytes: 2 ** 34 },
  node: 'v20.19.0',
  packages: { '@qutlass/bench': '1.2.3', native: '1.2.3' },
  commit: null,
  date: '2026-01-02T03:04:05.678Z',
} as const;

export const spread = (median: number, p10: number, p90: number): Spread => ({ median, p10, p90 });

export function modelRow(values: Partial<ModelRow> = {}): ModelRow {
  return {
    weights: 'nvfp4',
    rotation: null,
    activations: null,
    bitsPerWeight: 4.5,
    bytes: 2_820_000,
    loss: 2.0046,
    perplexity: 7.423,
    lossIncrease: 0.0421,
    expectedLoss: null,
    tokensPerSecond: spread(100, 95, 105),
    ...values,
  };
}

const dense = modelRow({
  weights: 'bf16',
  bitsPerWeight: 16,
  loss: 1.9625,
  perplexity: 7.117,
  lossIncrease: 0,
});

export function demoResults(rows: ModelRow[] = [dense, modelRow()]): DemoResults {
  return {
    ...run,
    suite: 'demo',
    model: { name: 'tiny', tokens: 7802, window: 512 },
    rows,
    samples: [{ weights: 'bf16', prompt: 'if a <', text: ' b && "c":' }],
  };
}

export function accuracyResults(): AccuracyResults {
  const error = { distribution: 'N(0,1)', format: 'nvfp4', bitsPerElement: 4.5, tolerance: 0.03 };
  return {
    ...run,
    suite: 'accuracy',
    model: { name: 'tiny', tokens: 7802, window: 512 },
    rows: [dense, modelRow()],
    matrix: [2048, 4096],
    errors: [
      { ...error, rotation: null, relativeSquaredError: 9.04e-3, expected: 9.05e-3 },
      { ...error, rotation: 'hadamard(16)', relativeSquaredError: 9.06e-3, expected: 9.05e-3 },
    ],
  };
}

export function gemmRow(values: Partial<GemmRow> = {}): GemmRow {
  return {
    ...{ m: 1, n: 4096, k: 4096 },
    ...{ a: 'f32', weight: 'nvfp4', kernel: 'cpu.f32.avx2', chosen: true, cache: 'cold' },
    weightBytes: 9_437_188,
    seconds: spread(1e-3, 0.9e-3, 1.1e-3),
    gops: 33.5,
    weightGigabytesPerSecond: 9.4,
    speedup: exact(2),
    ...values,
  };
}

export function gemmResults(rows: GemmRow[] = [gemmRow({ cache: 'hot' }), gemmRow()]): GemmResults {
  return { ...run, suite: 'gemm', settings: { rounds: 5, sampleSeconds: 0.005, cacheBytes: 2 ** 25 }, rows };
}
