import type { Spread } from '../statistics.js';

export interface Machine {
  readonly cpu: string;
  /** Instruction set of the kernels. */
  readonly isa: string;
  readonly threads: number;
  readonly memoryBytes: number;
}

/** What every results file says about the run itself. */
export interface RunInfo {
  /** Rises when a reader of the old files would misread the new ones. */
  readonly schemaVersion: 1;
  readonly machine: Machine;
  /** `v20.19.0` */
  readonly node: string;
  /** Versions of the qutlass packages, and of the native library as `native`. */
  readonly packages: Readonly<Record<string, string>>;
  /** Of the repository that the code runs in, `-dirty` if it has changes; null outside of one. */
  readonly commit: string | null;
  /** ISO 8601, UTC. */
  readonly date: string;
}

export interface EvaluatedModel {
  /** The last part of the model's directory. */
  readonly name: string;
  /** Tokens that the loss is the mean over. */
  readonly tokens: number;
  /** Tokens that see each other. */
  readonly window: number;
}

/** A model in one format. */
export interface ModelRow {
  /** Format of the linear layers, or the dtype of the checkpoint. */
  readonly weights: string;
  readonly rotation: string | null;
  /** Format of the inputs of these layers; null if they are not quantized. */
  readonly activations: string | null;
  /** In the layers that are quantized, scales included. */
  readonly bitsPerWeight: number;
  /** All parameters of the model. */
  readonly bytes: number;
  /** Nats per token. */
  readonly loss: number;
  readonly perplexity: number;
  /** Loss minus that of the unquantized model. */
  readonly lossIncrease: number;
  /** What an independent implementation computes; null where none is known. */
  readonly expectedLoss: number | null;
  /** Decoding one sequence. */
  readonly tokensPerSecond: Spread;
}

/** The greedy continuation of a prompt. */
export interface TextSample {
  readonly weights: string;
  readonly prompt: string;
  readonly text: string;
}

/** The quantization error of random numbers in one format. */
export interface ErrorRow {
  readonly distribution: string;
  readonly format: string;
  readonly rotation: string | null;
  readonly bitsPerElement: number;
  /** Sum of squared errors over sum of squares. */
  readonly relativeSquaredError: number;
  /** The published or independently computed figure; null where none is known. */
  readonly expected: number | null;
  /** Largest relative difference to `expected` that passes. */
  readonly tolerance: number | null;
}

/** A kernel on out[M, N] = A[M, K] B[N, K]^T. */
export interface GemmRow {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Format or dtype of A. */
  readonly a: string;
  /** Format or dtype of B. */
  readonly weight: string;
  readonly kernel: string;
  /** Whether the library would run this kernel by itself. */
  readonly chosen: boolean;
  /** `hot`: the same weight in every call, if the cache can hold it; `cold`: copies in turn, beyond the cache together. */
  readonly cache: 'hot' | 'cold';
  readonly weightBytes: number;
  /** Per call. */
  readonly seconds: Spread;
  /** Additions and multiplications, in units of 1e9 per second. */
  readonly gops: number;
  /** Bytes of the weight, in units of 1e9 per second. */
  readonly weightGigabytesPerSecond: number;
  /** Time of the dense f32 kernel in the same round over the time of this one. */
  readonly speedup: Spread;
}

export interface GemmSettings {
  /** Samples of each kernel. */
  readonly rounds: number;
  /** Least duration of a sample, which repeats short calls. */
  readonly sampleSeconds: number;
  /** The last-level cache, which the `cold` copies exceed. */
  readonly cacheBytes: number;
}

export interface DemoResults extends RunInfo {
  readonly suite: 'demo';
  readonly model: EvaluatedModel;
  readonly rows: readonly ModelRow[];
  readonly samples: readonly TextSample[];
}

export interface AccuracyResults extends RunInfo {
  readonly suite: 'accuracy';
  readonly model: EvaluatedModel;
  readonly rows: readonly ModelRow[];
  /** Extent [rows, cols] of the random matrices of `errors`. */
  readonly matrix: readonly [rows: number, cols: number];
  readonly errors: readonly ErrorRow[];
}

export interface GemmResults extends RunInfo {
  readonly suite: 'gemm';
  readonly settings: GemmSettings;
  readonly rows: readonly GemmRow[];
}

/** A results file of any suite. */
export type Results = DemoResults | AccuracyResults | GemmResults;
