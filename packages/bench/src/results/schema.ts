import { z } from 'zod';
import type { Results } from './types.js';

// The runtime side of types.ts, which says what the fields mean. Objects are strict: a misspelt field is an error.

const positive = z.number().positive();
const count = z.int().nonnegative();
const spread = z.strictObject({ median: positive, p10: positive, p90: positive });

const nullableNumber = z.number().nullable();
const gpuState = z.strictObject({
  driver: z.string().nullable(),
  clock: nullableNumber,
  memoryClock: nullableNumber,
  power: nullableNumber,
  temperature: nullableNumber,
});

const gpu = z.strictObject({
  name: z.string(),
  isa: z.string(),
  multiprocessors: z.int().positive(),
  memoryBytes: count,
  cacheBytes: count,
  cuda: z.string(),
  before: gpuState.nullable(),
  after: gpuState.nullable(),
});

const runInfo = {
  schemaVersion: z.literal(2),
  machine: z.strictObject({ cpu: z.string(), isa: z.string(), threads: z.int().positive(), memoryBytes: count }),
  gpu: gpu.nullable(),
  node: z.string(),
  packages: z.record(z.string(), z.string()),
  commit: z.string().nullable(),
  date: z.iso.datetime(),
};

const model = z.strictObject({ name: z.string(), tokens: count, window: count });

const modelRow = z.strictObject({
  weights: z.string(),
  rotation: z.string().nullable(),
  activations: z.string().nullable(),
  bitsPerWeight: positive,
  bytes: count,
  loss: z.number(),
  lossError: z.number().min(0),
  perplexity: positive,
  lossIncrease: z.number(),
  expectedLoss: z.number().nullable(),
  tokensPerSecond: spread,
});

const errorRow = z.strictObject({
  distribution: z.string(),
  format: z.string(),
  rotation: z.string().nullable(),
  bitsPerElement: positive,
  relativeSquaredError: positive,
  expected: positive.nullable(),
  tolerance: positive.nullable(),
});

const timedRun = {
  ...runInfo,
  settings: z.strictObject({
    clock: z.enum(['host', 'device']),
    rounds: count,
    sampleSeconds: positive,
    cacheBytes: count,
  }),
  limits: z.strictObject({
    readBandwidth: spread,
    copyBandwidth: spread,
    launchSeconds: spread,
    peaks: z.strictObject({
      extent: count,
      bf16: spread.nullable(),
      fp8: spread.nullable(),
      int8: spread.nullable(),
    }),
  }),
};

const extents = { m: count, n: count, k: count };
const cache = z.enum(['hot', 'cold']);

const gemmRow = z.strictObject({
  ...extents,
  a: z.string(),
  weight: z.string(),
  kernel: z.string(),
  chosen: z.boolean(),
  cache,
  weightBytes: count,
  bytes: count,
  seconds: spread,
  gops: positive,
  weightGigabytesPerSecond: positive,
  bandwidthFraction: positive,
  peakFraction: positive.nullable(),
  baseline: z.string(),
  speedup: spread,
});

const quantizeRow = z.strictObject({
  m: count,
  k: count,
  dtype: z.string(),
  format: z.string(),
  rotation: z.string().nullable(),
  globalScale: z.enum(['found', 'given']).nullable(),
  // Results of before have none.
  made: z
    .strictObject({ by: z.enum(['rmsNorm', 'siluMul']), fused: z.boolean() })
    .nullable()
    .default(null),
  training: z
    .enum(['stochastic', 'transposed', 'transposed in two calls', 'requantized', 'squares'])
    .nullable()
    .default(null),
  cache,
  bytes: count,
  seconds: spread,
  gigabytesPerSecond: positive,
  copyFraction: positive,
  speedup: spread,
});

const layerRow = z.strictObject({
  ...extents,
  weight: z.string(),
  activations: z.string().nullable(),
  rotation: z.string().nullable(),
  kernel: z.string(),
  seconds: spread,
  idealSeconds: spread,
  speedup: spread,
  idealSpeedup: spread,
});

const decodeStep = z.strictObject({
  layerBytes: count,
  headBytes: count,
  cacheBytes: count,
  activationBytes: count,
  operations: count,
  restSeconds: z.number(),
});

const decodeRow = z.strictObject({
  model: z.string(),
  layers: count,
  weights: z.string(),
  activations: z.string().nullable(),
  rotation: z.string().nullable(),
  // The defaults are what files say that know of no other.
  head: z.string().default('bf16'),
  bytes: count,
  context: count,
  prefillTokensPerSecond: spread,
  tokensPerSecond: spread,
  generatedTokensPerSecond: spread,
  bytesPerToken: count,
  step: decodeStep.nullable().default(null),
  rooflineTokensPerSecond: positive,
  rooflineFraction: positive,
  speedup: spread.nullable(),
});

const peerRow = z.strictObject({
  ...extents,
  threads: z.int().positive(),
  cache,
  weight: z.string(),
  accuracy: z.enum(['exact', 'int8']),
  kernel: z.string(),
  weightBytes: count,
  seconds: spread,
  peer: z.string(),
  peerPackage: z.string(),
  peerSeconds: spread,
  speedup: spread,
});

const hostRow = z.strictObject({ operation: z.string(), nodes: count, seconds: spread });

export const demoResults = z.strictObject({
  ...runInfo,
  suite: z.literal('demo'),
  model,
  rows: z.array(modelRow).min(1),
  samples: z.array(z.strictObject({ weights: z.string(), prompt: z.string(), text: z.string() })),
});

const accuracyResults = z.strictObject({
  ...runInfo,
  suite: z.literal('accuracy'),
  model,
  rows: z.array(modelRow).min(1),
  matrix: z.tuple([count, count]),
  errors: z.array(errorRow).min(1),
});

const timedResults = <S extends string, R extends z.ZodType>(suite: S, row: R) =>
  z.strictObject({ ...timedRun, suite: z.literal(suite), rows: z.array(row).min(1) });

export const gemmResults = timedResults('gemm', gemmRow);
export const quantizeResults = timedResults('quantize', quantizeRow);
export const layerResults = timedResults('layer', layerRow);
export const decodeResults = timedResults('decode', decodeRow);
export const hostResults = timedResults('host', hostRow);
export const peerResults = timedResults('peers-cpu', peerRow);

/** Checks a results file of any suite. */
export const resultsSchema: z.ZodType<Results> = z.discriminatedUnion('suite', [
  demoResults,
  accuracyResults,
  gemmResults,
  quantizeResults,
  layerResults,
  decodeResults,
  hostResults,
  peerResults,
]);
