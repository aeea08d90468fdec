import type { Spread } from '../statistics.js';

/** The host. */
export interface Machine {
  readonly cpu: string;
  /** Instruction set of the CPU kernels. */
  readonly isa: string;
  readonly threads: number;
  readonly memoryBytes: number;
}

/** The GPU that a run was on. */
export interface Gpu {
  readonly name: string;
  /** `sm_90` */
  readonly isa: string;
  readonly multiprocessors: number;
  readonly memoryBytes: number;
  readonly cacheBytes: number;
  /** The newest CUDA version that the driver runs. */
  readonly cuda: string;
  /** By nvidia-smi, before and after the run; null without it. */
  readonly before: GpuState | null;
  readonly after: GpuState | null;
}

/** What nvidia-smi says at one moment; null for what it does not know. */
export interface GpuState {
  readonly driver: string | null;
  /** MHz */
  readonly clock: number | null;
  /** MHz */
  readonly memoryClock: number | null;
  /** Watts */
  readonly power: number | null;
  /** Degrees Celsius */
  readonly temperature: number | null;
}

/** What every results file says about the run itself. */
export interface RunInfo {
  /** Rises when a reader of the old files would misread the new ones. */
  readonly schemaVersion: 2;
  readonly machine: Machine;
  /** null for runs on the CPU. */
  readonly gpu: Gpu | null;
  /** `v20.19.0` */
  readonly node: string;
  /** Versions of the qutlass packages, and of the native library as `native`. */
  readonly packages: Readonly<Record<string, string>>;
  /** Of the repository that the code runs in, `-dirty` if it has changes; outside of one QUTLASS_COMMIT, or null. */
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
  /** Nats per token; with activations in 4 bits, the mean over differences as small as float32 rounding. */
  readonly loss: number;
  /** The standard error of that mean; 0 where the loss does not depend on them. */
  readonly lossError: number;
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

/** How times were taken. */
export interface TimingSettings {
  /** `host`: from the first call until all have run; `device`: events around a graph of calls. */
  readonly clock: 'host' | 'device';
  /** Samples of each contender. */
  readonly rounds: number;
  /** Least duration of a sample, which repeats short calls. */
  readonly sampleSeconds: number;
  /** The last-level cache, which the `cold` copies exceed. */
  readonly cacheBytes: number;
}

/** What the device does at most, measured in the same run. */
export interface Limits {
  /** Bytes per second, only read; those of the copy if that is faster. */
  readonly readBandwidth: Spread;
  /** Bytes per second, those read and those written, of a copy within the memory of the device. */
  readonly copyBandwidth: Spread;
  /** Of a kernel on one element, one of many. */
  readonly launchSeconds: Spread;
  /** Additions and multiplications per second of the vendor's library; null where it is missing or refuses. */
  readonly peaks: {
    /** M = N = K */
    readonly extent: number;
    readonly bf16: Spread | null;
    readonly fp8: Spread | null;
    readonly int8: Spread | null;
  };
}

/** out[M, N] = A[M, K] B[N, K]^T */
export interface Shape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** A kernel on a product. */
export interface GemmRow extends Shape {
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
  /** Of both operands and the result. */
  readonly bytes: number;
  /** Per call. */
  readonly seconds: Spread;
  /** Additions and multiplications, in units of 1e9 per second. */
  readonly gops: number;
  /** Bytes of the weight, in units of 1e9 per second. */
  readonly weightGigabytesPerSecond: number;
  /** All bytes per second, over the bandwidth that reading alone reaches. */
  readonly bandwidthFraction: number;
  /**
   * Operations per second, over the peak of the vendor's library in the fastest precision that the device has for these
   * operands; null where that was not measured.
   */
  readonly peakFraction: number | null;
  /** The kernel that `speedup` is relative to, on dense operands. */
  readonly baseline: string;
  /** Time of the baseline in the same round over the time of this one. */
  readonly speedup: Spread;
}

/** What makes a matrix that is quantized, timed with the quantizer: in one call of both, or in one of its own before. */
export interface MadeInput {
  readonly by: 'rmsNorm' | 'siluMul';
  readonly fused: boolean;
}

/**
 * What training adds to the quantizers: `stochastic` rounding; of the transpose, in one call or behind one that transposes;
 * `requantized`, of the transpose of a matrix that is in the format before; MXFP8 in `squares` of one scale, written twice.
 */
export type TrainingWay = 'stochastic' | 'transposed' | 'transposed in two calls' | 'requantized' | 'squares';

/** A quantizer on a matrix [M, K]. */
export interface QuantizeRow {
  readonly m: number;
  readonly k: number;
  /** Of the input. */
  readonly dtype: string;
  readonly format: string;
  readonly rotation: string | null;
  /** For formats that have one: found from the data by a pass of its own, or given. */
  readonly globalScale: 'found' | 'given' | null;
  /** Null for a matrix that is there before. */
  readonly made: MadeInput | null;
  /** What training adds; null for the plain quantizer. */
  readonly training: TrainingWay | null;
  /** Where the input is found. */
  readonly cache: 'hot' | 'cold';
  /** Input, codes and scales, each once: what is made is not counted, but what it is made of. */
  readonly bytes: number;
  /** Per call. */
  readonly seconds: Spread;
  readonly gigabytesPerSecond: number;
  /** Bytes per second, over those of a copy. */
  readonly copyFraction: number;
  /** Time of copying a matrix [M, K] in the same round over the time of this one. */
  readonly speedup: Spread;
}

/** A linear layer: the whole operation, and the product alone. */
export interface LayerRow extends Shape {
  readonly weight: string;
  /** Format of the activations; null if they stay dense. */
  readonly activations: string | null;
  readonly rotation: string | null;
  readonly kernel: string;
  /** QuantLinear.forward: the activations are rotated and quantized, then multiplied. */
  readonly seconds: Spread;
  /** The product of activations that were rotated and quantized beforehand. */
  readonly idealSeconds: Spread;
  /** Time of the dense layer in the same round over the time of this one. */
  readonly speedup: Spread;
  readonly idealSpeedup: Spread;
}

/** A model with random weights in one format. */
export interface DecodeRow {
  /** Name of the configuration. */
  readonly model: string;
  /** Layers measured; fewer than the model has if `--layers` says so. */
  readonly layers: number;
  readonly weights: string;
  readonly activations: string | null;
  readonly rotation: string | null;
  /** What the head is in, the matrix that makes logits. */
  readonly head: string;
  /** All parameters. */
  readonly bytes: number;
  /** Tokens of the prompt, and in the cache while decoding. */
  readonly context: number;
  /** Tokens of the prompt per second. */
  readonly prefillTokensPerSecond: Spread;
  /** One sequence, device time. */
  readonly tokensPerSecond: Spread;
  /** One sequence through `Llama.generate`, the host included. */
  readonly generatedTokensPerSecond: Spread;
  /** Parameters, keys and values that one token reads. */
  readonly bytesPerToken: number;
  /** What a step consists of; null in files that do not say. */
  readonly step: DecodeStepItems | null;
  /** Tokens per second if these bytes were all, at the bandwidth that reading alone reaches. */
  readonly rooflineTokensPerSecond: number;
  readonly rooflineFraction: number;
  /** Time of a step of the dense model in the same round over the time of this one; null if both do not fit. */
  readonly speedup: Spread | null;
}

/** What one decoded token takes. */
export interface DecodeStepItems {
  /** Bytes of the decoder layers and the last norm. */
  readonly layerBytes: number;
  readonly headBytes: number;
  /** Keys and values of the tokens before. */
  readonly cacheBytes: number;
  /** What operations hand to each other, written and read; it stays in the cache of the device. */
  readonly activationBytes: number;
  /** Operations of the graph. */
  readonly operations: number;
  /** What is left of the time when all bytes that it reads are read as fast as reading alone is. */
  readonly restSeconds: number;
}

/** A product of float32 activations on the CPU, and that of another library in the same run. */
export interface PeerRow extends Shape {
  readonly threads: number;
  /** `hot`: the same weight in every call; `cold`: copies in turn, beyond the cache together. */
  readonly cache: 'hot' | 'cold';
  /** Format of the weight, or f32. */
  readonly weight: string;
  /** What the kernel may do to the activations. */
  readonly accuracy: 'exact' | 'int8';
  readonly kernel: string;
  readonly weightBytes: number;
  /** Per call. */
  readonly seconds: Spread;
  /** `ONNX Runtime MatMul`, `ggml q4_0` and the like. */
  readonly peer: string;
  /** The package that it comes in, with its version. */
  readonly peerPackage: string;
  readonly peerSeconds: Spread;
  /** Time of the other library in the same round over the time of this one. */
  readonly speedup: Spread;
}

/** Time of the JavaScript thread. */
export interface HostRow {
  /** `QuantLinear.forward nvfp4` and the like. */
  readonly operation: string;
  /** Kernels that one call enqueues. */
  readonly nodes: number;
  /** Per call, to enqueue it. */
  readonly seconds: Spread;
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

/** What the results of all timed suites have. */
export interface TimedRun extends RunInfo {
  readonly settings: TimingSettings;
  readonly limits: Limits;
}

export interface GemmResults extends TimedRun {
  readonly suite: 'gemm';
  readonly rows: readonly GemmRow[];
}

export interface QuantizeResults extends TimedRun {
  readonly suite: 'quantize';
  readonly rows: readonly QuantizeRow[];
}

export interface LayerResults extends TimedRun {
  readonly suite: 'layer';
  readonly rows: readonly LayerRow[];
}

export interface DecodeResults extends TimedRun {
  readonly suite: 'decode';
  readonly rows: readonly DecodeRow[];
}

export interface HostResults extends TimedRun {
  readonly suite: 'host';
  readonly rows: readonly HostRow[];
}

export interface PeerResults extends TimedRun {
  readonly suite: 'peers-cpu';
  readonly rows: readonly PeerRow[];
}

/** A results file of a suite that times the device. */
export type TimedResults =
  | GemmResults
  | QuantizeResults
  | LayerResults
  | DecodeResults
  | HostResults
  | PeerResults;

/** A results file of any suite. */
export type Results = DemoResults | AccuracyResults | TimedResults;
