import { z } from 'zod';

/** Rises when a reader of the old files would misread the new ones. */
export const SCHEMA_VERSION = 1;

const positive = z.number().positive();
const count = z.int().nonnegative();

const spread = z.strictObject({ median: positive, p10: positive, p90: positive });

const machine = z.strictObject({
  cpu: z.string(),
  /** Instruction set of the kernels. */
  isa: z.string(),
  threads: z.int().positive(),
  memoryBytes: count,
});

const common = {
  schemaVersion: z.literal(SCHEMA_VERSION),
  machine,
  node: z.string(),
  /** Versions of the qutlass packages, and of the native library as `native`. */
  packages: z.record(z.string(), z.string()),
  /** Of the repository that the code runs in, `-dirty` if it has changes; null outside of one. */
  commit: z.string().nullable(),
  date: z.iso.datetime(),
};

const model = z.strictObject({
  name: z.string(),
  /** Tokens that the loss is the mean over. */
  tokens: count,
  /** Tokens that see each other. */
  window: count,
});

const modelRow = z.strictObject({
  /** Format of the linear layers, or the dtype of the checkpoint. */
  weights: z.string(),
  rotation: z.string().nullable(),
  /** Format of their inputs; null if these are not quantized. */
  activations: z.string().nullable(),
  /** In the linear layers that are quantized, scales included. */
  bitsPerWeight: positive,
  /** All parameters of the model. */
  bytes: count,
  /** Nats per token. */
  loss: z.number(),
  perplexity: positive,
  /** Loss minus that of the unquantized model. */
  lossIncrease: z.number(),
  /** What an independent implementation computes; null where none is known. */
  expectedLoss: z.number().nullable(),
  /** Decoding one token at a time. */
  tokensPerSecond: spread,
});

const sample = z.strictObject({ weights: z.string(), prompt: z.string(), text: z.string() });

const errorRow = z.strictObject({
  distribution: z.string(),
  format: z.string(),
  rotation: z.string().nullable(),
  bitsPerElement: positive,
  /** Sum of squared errors over sum of squares. */
  relativeSquaredError: positive,
  /** The published or independently computed figure; null where none is known. */
  expected: positive.nullable(),
  /** Largest relative difference to `expected` that passes. */
  tolerance: positive.nullable(),
});

const gemmRow = z.strictObject({
  m: count,
  n: count,
  k: count,
  /** Format or dtype of A [M, K]. */
  a: z.string(),
  /** Format or dtype of B [N, K]. */
  weight: z.string(),
  kernel: z.string(),
  /** Whether the library would run this kernel by itself. */
  chosen: z.boolean(),
  /** `hot`: the same weight in every call; `cold`: distinct copies in turn, larger than the cache together. */
  cache: z.enum(['hot', 'cold']),
  weightBytes: count,
  /** Per call. */
  seconds: spread,
  /** Additions and multiplications, in units of 1e9 per second. */
  gops: positive,
  /** Bytes of the weight, in units of 1e9 per second. */
  weightGigabytesPerSecond: positive,
  /** Time of the dense f32 kernel in the same round over the time of this one. */
  speedup: spread,
});

export const demoResults = z.strictObject({
  ...common,
  suite: z.literal('demo'),
  model,
  rows: z.array(modelRow).min(1),
  samples: z.array(sample),
});

export const accuracyResults = z.strictObject({
  ...common,
  suite: z.literal('accuracy'),
  model,
  rows: z.array(modelRow).min(1),
  /** The random matrices of `errors`, [rows, cols]. */
  matrix: z.tuple([count, count]),
  errors: z.array(errorRow).min(1),
});

export const gemmResults = z.strictObject({
  ...common,
  suite: z.literal('gemm'),
  settings: z.strictObject({
    /** Samples of each kernel. */
    rounds: count,
    /** Of a sample, which repeats short calls. */
    sampleSeconds: positive,
    /** What `cold` copies have to exceed. */
    cacheBytes: count,
  }),
  rows: z.array(gemmRow).min(1),
});

/** A results file of any suite. */
export const resultsSchema = z.discriminatedUnion('suite', [demoResults, accuracyResults, gemmResults]);

export type Results = z.infer<typeof resultsSchema>;
export type DemoResults = z.infer<typeof demoResults>;
export type AccuracyResults = z.infer<typeof accuracyResults>;
export type GemmResults = z.infer<typeof gemmResults>;
export type Machine = z.infer<typeof machine>;
export type EvaluatedModel = z.infer<typeof model>;
export type ModelRow = z.infer<typeof modelRow>;
export type TextSample = z.infer<typeof sample>;
export type ErrorRow = z.infer<typeof errorRow>;
export type GemmRow = z.infer<typeof gemmRow>;
/** What every results file says about the run itself. */
export type RunInfo = Pick<Results, keyof typeof common>;
