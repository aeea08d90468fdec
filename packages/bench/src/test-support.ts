import type {
  AccuracyResults,
  DecodeResults,
  DecodeRow,
  DemoResults,
  GemmResults,
  GemmRow,
  Gpu,
  HostResults,
  LayerResults,
  LayerRow,
  ModelRow,
  PeerResults,
  PeerRow,
  QuantizeResults,
  QuantizeRow,
  TimedResults,
} from './results/types.js';
import { exact, type Spread } from './statistics.js';

// Results for tests, complete but small.

const run = {
  schemaVersion: 2,
  machine: { cpu: 'Test CPU', isa: 'avx2', threads: 2, memoryBytes: 2 ** 34 },
  gpu: null,
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
    lossError: 0,
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
  lossError: 0,
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

const timed = {
  ...run,
  settings: { clock: 'host', rounds: 5, sampleSeconds: 0.005, cacheBytes: 2 ** 25 },
  limits: {
    readBandwidth: exact(20e9),
    copyBandwidth: exact(16e9),
    launchSeconds: exact(1e-6),
    peaks: { extent: 4096, bf16: exact(7e14), fp8: null, int8: null },
  },
} as const;

export const gpu: Gpu = {
  ...{ name: 'Test GPU', isa: 'sm_90', multiprocessors: 132, memoryBytes: 2 ** 37, cacheBytes: 2 ** 26 },
  cuda: '13.0',
  before: { driver: '580.1', clock: 1980, memoryClock: 3201, power: 120, temperature: 38 },
  after: { driver: '580.1', clock: 1755, memoryClock: 3201, power: null, temperature: 61 },
};

export function gemmRow(values: Partial<GemmRow> = {}): GemmRow {
  return {
    ...{ m: 1, n: 4096, k: 4096 },
    ...{ a: 'f32', weight: 'nvfp4', kernel: 'cpu.f32.avx2', chosen: true, cache: 'cold' },
    weightBytes: 9_437_188,
    bytes: 9_469_956,
    seconds: spread(1e-3, 0.9e-3, 1.1e-3),
    gops: 33.5,
    weightGigabytesPerSecond: 9.4,
    bandwidthFraction: 0.47,
    peakFraction: null,
    baseline: 'cpu.f32.avx2',
    speedup: exact(2),
    ...values,
  };
}

export function gemmResults(rows: GemmRow[] = [gemmRow({ cache: 'hot' }), gemmRow()]): GemmResults {
  return { ...timed, suite: 'gemm', rows };
}

export function quantizeRow(values: Partial<QuantizeRow> = {}): QuantizeRow {
  return {
    ...{ m: 16, k: 4096, dtype: 'bf16', format: 'nvfp4', rotation: null, globalScale: 'found', cache: 'hot' },
    made: null,
    training: null,
    bytes: 167_940,
    seconds: spread(1e-5, 0.9e-5, 1.1e-5),
    gigabytesPerSecond: 16.8,
    copyFraction: 1.05,
    speedup: exact(0.9),
    ...values,
  };
}

export function quantizeResults(rows: QuantizeRow[] = [quantizeRow()]): QuantizeResults {
  return { ...timed, suite: 'quantize', rows };
}

export function layerRow(values: Partial<LayerRow> = {}): LayerRow {
  return {
    ...{ m: 16, n: 4096, k: 4096, weight: 'nvfp4', activations: 'nvfp4', rotation: 'hadamard(16)' },
    kernel: 'cpu.f32.avx2',
    seconds: spread(1e-3, 0.9e-3, 1.1e-3),
    idealSeconds: spread(0.75e-3, 0.7e-3, 0.8e-3),
    speedup: exact(1.5),
    idealSpeedup: exact(2),
    ...values,
  };
}

export function layerResults(rows: LayerRow[] = [layerRow()]): LayerResults {
  return { ...timed, suite: 'layer', rows };
}

export function decodeRow(values: Partial<DecodeRow> = {}): DecodeRow {
  return {
    ...{ model: 'tiny', layers: 4, weights: 'nvfp4', activations: null, rotation: null },
    ...{ head: 'f32', bytes: 2_820_000, context: 512 },
    prefillTokensPerSecond: exact(4000),
    tokensPerSecond: spread(100, 95, 105),
    generatedTokensPerSecond: spread(90, 85, 95),
    bytesPerToken: 3_350_000,
    step: {
      ...{ layerBytes: 2_750_000, headBytes: 500_000, cacheBytes: 100_000, activationBytes: 20_000 },
      ...{ operations: 40, restSeconds: 1e-4 },
    },
    rooflineTokensPerSecond: 125,
    rooflineFraction: 0.8,
    speedup: exact(1.5),
    ...values,
  };
}

export function decodeResults(rows: DecodeRow[] = [decodeRow()]): DecodeResults {
  return { ...timed, suite: 'decode', rows };
}

export function hostResults(): HostResults {
  const row = { operation: 'QuantLinear.forward nvfp4', nodes: 1, seconds: spread(8e-6, 7e-6, 9e-6) };
  return { ...timed, suite: 'host', rows: [row] };
}

export function peerRow(values: Partial<PeerRow> = {}): PeerRow {
  return {
    ...{ m: 1, n: 4096, k: 4096, threads: 2, cache: 'cold', weight: 'nvfp4', accuracy: 'int8' },
    ...{ kernel: 'cpu.tiles.int8.avx512', weightBytes: 9_437_188 },
    seconds: spread(4e-4, 3.9e-4, 4.1e-4),
    ...{ peer: 'ggml nvfp4', peerPackage: '@node-llama-cpp/linux-x64 3.22.1' },
    peerSeconds: exact(8e-4),
    speedup: exact(2),
    ...values,
  };
}

export function peerResults(rows: PeerRow[] = [peerRow()]): PeerResults {
  return { ...timed, suite: 'peers-cpu', rows };
}

/** One of each timed suite. */
export const timedResults: { readonly [S in TimedResults['suite']]: TimedResults } = {
  gemm: gemmResults(),
  quantize: quantizeResults(),
  layer: layerResults(),
  decode: decodeResults(),
  host: hostResults(),
  'peers-cpu': peerResults(),
};
