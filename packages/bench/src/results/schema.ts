import { z } from 'zod';
import type { Results } from './types.js';

// The runtime side of types.ts, which says what the fields mean. Objects are strict: a misspelt field is an error.

const positive = z.number().positive();
const count = z.int().nonnegative();
const spread = z.strictObject({ median: positive, p10: positive, p90: positive });

const runInfo = {
  schemaVersion: z.literal(1),
  machine: z.strictObject({ cpu: z.string(), isa: z.string(), threads: z.int().positive(), memoryBytes: count }),
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

const gemmRow = z.strictObject({
  m: count,
  n: count,
  k: count,
  a: z.string(),
  weight: z.string(),
  kernel: z.string(),
  chosen: z.boolean(),
  cache: z.enum(['hot', 'cold']),
  weightBytes: count,
  seconds: spread,
  gops: positive,
  weightGigabytesPerSecond: positive,
  speedup: spread,
});

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

export const gemmResults = z.strictObject({
  ...runInfo,
  suite: z.literal('gemm'),
  settings: z.strictObject({ rounds: count, sampleSeconds: positive, cacheBytes: count }),
  rows: z.array(gemmRow).min(1),
});

/** Checks a results file of any suite. */
export const resultsSchema: z.ZodType<Results> = z.discriminatedUnion('suite', [
  demoResults,
  accuracyResults,
  gemmResults,
]);
