import { type Device, type FloatDType, Graph, type Stream, Tensor } from '@qutlass/core-kernels';
import { type Format, QuantizedTensor, quantize, type Rotation, type Scales } from '@qutlass/quant';
import { best, type Candidate, candidates, requireKernels } from './choose.js';
import { hardwareOf } from './hardware.js';
import type { OperandA, OperandB } from './pairs.js';
import { Problem } from './problem.js';
import { measuredSeconds, recordTuning, saveTuning } from './tuning.js';
import { readCache, tuningPath } from './tuning-cache.js';

/** A product to measure: out[M, N] = A[M, K] B[N, K]^T. */
export interface TuneProblem {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** A dtype for dense activations, else their format. */
  readonly a: FloatDType | Format;
  readonly b: FloatDType | Format;
  /** Of a quantized B, and of A with it. */
  readonly rotation?: Rotation;
  /** Default: as of {@link matmul}. */
  readonly outDType?: FloatDType;
}

export interface TuneProgress {
  /** Problems measured so far, of `total`. */
  readonly done: number;
  readonly total: number;
  /** The one that comes next; undefined at the end. */
  readonly problem?: TuneProblem;
}

export interface TuneOptions {
  device: Device;
  /** Names; default: the kernels whose prediction is at most four times the best one. */
  kernels?: readonly string[];
  /** Samples of each kernel, of which the median counts; default 7. */
  rounds?: number;
  /** A sample repeats products until it takes this long; default 0.001. */
  sampleSeconds?: number;
  /** The file that keeps the results, as of {@link loadTuning}; `false` keeps them in this process alone. */
  cache?: string | false;
  progress?: (progress: TuneProgress) => void;
  /** Stops between samples with the reason of the signal. What was measured before is kept. */
  signal?: AbortSignal;
}

/** A problem with the times of its kernels. */
export interface TunedProblem {
  /** Its name in the tuning cache. */
  readonly key: string;
  readonly candidates: readonly Candidate[];
  /** The kernel that {@link matmul} takes from now on; undefined if none can run. */
  readonly chosen: string | undefined;
}

/** Kernels predicted to take longer than the best by more than this factor are not measured. */
const WORTH_TRYING = 4;

/** Products in a graph, unless they are slow: its launch is then a small part of a sample. */
const CALLS_PER_GRAPH = 20;

/** Copies of B together are this many times larger than the cache, so that none is in it when its turn comes ... */
const CACHE_MULTIPLE = 3;

/** ... but for a B so small that this many are not. */
const MAX_COPIES = 256;

/**
 * Measures kernels on a device, so that {@link matmul} chooses by measurement for these problems: time on the device over
 * captured graphs, with B cold in cache and random numbers in all operands, kernels taking turns. The results count at once
 * in this process, and are kept in a file for others.
 *
 * @throws QutlassError `QUTLASS_E_ARGUMENT` for unknown kernels, or, before anything is measured, for a file of another
 * version or device; `QUTLASS_E_SHAPE` if K does not fit a format
 */
export async function tune(problems: readonly TuneProblem[], options: TuneOptions): Promise<TunedProblem[]> {
  const { device, progress, signal, cache = tuningPath(device) } = options;
  requireKernels(options.kernels ?? []);
  if (cache !== false) readCache(cache, device, 'own');
  const tuned: TunedProblem[] = [];
  for (const problem of problems) {
    signal?.throwIfAborted();
    progress?.({ done: tuned.length, total: problems.length, problem });
    tuned.push(await tuneProblem(problem, options));
    if (cache !== false) saveTuning(device, cache);
  }
  progress?.({ done: tuned.length, total: problems.length });
  return tuned;
}

async function tuneProblem(description: TuneProblem, options: TuneOptions): Promise<TunedProblem> {
  const { device } = options;
  const operands = makeOperands(description, device);
  try {
    const problem = problemOf(operands, 0, description);
    const { key } = problem;
    const examine = () => {
      using out = Tensor.empty([problem.m, problem.n], problem.outDType, device);
      return candidates(problem, out);
    };
    const able = worthTrying(examine(), options.kernels);
    const seconds = await measure(able, operands, description, options);
    // Beside what was measured of kernels that are not among these.
    if (able.length > 0) recordTuning(device, { [key]: { ...measuredSeconds(device, key), ...seconds } });
    const list = examine();
    return { key, candidates: list, chosen: best(list)?.kernel.name };
  } finally {
    for (const operand of [operands.a, ...operands.b]) operand.dispose();
  }
}

function worthTrying(list: readonly Candidate[], names: readonly string[] | undefined): Candidate[] {
  const able = list.filter(({ refusal }) => refusal === undefined);
  if (names) return able.filter(({ kernel }) => names.includes(kernel.name));
  const free = able.filter(({ kernel }) => !kernel.onRequest);
  const fastest = Math.min(...free.map(({ predictedSeconds }) => predictedSeconds!));
  return free.filter(({ predictedSeconds }) => predictedSeconds! <= WORTH_TRYING * fastest);
}

interface Operands {
  readonly a: OperandA;
  /** Equal, in memory of their own each. */
  readonly b: readonly (Tensor<FloatDType> | QuantizedTensor)[];
}

function makeOperands({ m, n, k, a, b, rotation }: TuneProblem, device: Device): Operands {
  const weight = randomOperand(n, k, b, device, 1, rotation);
  const copies = [weight];
  try {
    const { cacheBytes } = hardwareOf(device);
    const count = Math.min(Math.ceil((CACHE_MULTIPLE * cacheBytes) / weight.byteLength) + 1, MAX_COPIES);
    while (copies.length < count) copies.push(copyOf(weight));
    return { a: randomOperand(m, k, a, device, 2, rotation), b: copies };
  } catch (error) {
    for (const copy of copies) copy.dispose();
    throw error;
  }
}

function randomOperand(
  rows: number,
  cols: number,
  kind: FloatDType | Format,
  device: Device,
  seed: number,
  rotation: Rotation | undefined,
): Tensor<FloatDType> | QuantizedTensor {
  if (typeof kind === 'string') return Tensor.random([rows, cols], { dtype: kind, device, seed });
  using dense = Tensor.random([rows, cols], { dtype: 'bf16', device, seed });
  return quantize(dense, kind, rotation ? { rotation } : {});
}

function copyOf(operand: Tensor<FloatDType> | QuantizedTensor): Tensor<FloatDType> | QuantizedTensor {
  if (operand instanceof Tensor) return operand.clone();
  return new QuantizedTensor(operand.format, {
    rows: operand.rows,
    cols: operand.cols,
    codes: operand.codes.clone(),
    scales: operand.scales.clone() as Scales,
    scaleLayout: operand.scaleLayout,
    zeroPoints: operand.zeroPoints?.clone(),
    globalScale: operand.globalScale?.clone(),
    rotation: operand.rotation,
  });
}

function problemOf({ a, b }: Operands, call: number, { outDType }: TuneProblem): Problem {
  const weight: OperandB = b[call % b.length]!;
  return new Problem(a, weight, outDType ? { outDType } : {});
}

/** A captured graph of products by one kernel. */
interface Sampler {
  readonly kernel: string;
  readonly graph: Graph;
  /** Of the graph, in a sample. */
  launches: number;
  readonly samples: number[];
}

/** The median of the seconds that a product takes, by kernel. */
async function measure(
  able: readonly Candidate[],
  operands: Operands,
  description: TuneProblem,
  { device, rounds = 7, sampleSeconds = 1e-3, signal }: TuneOptions,
): Promise<Record<string, number>> {
  const { stream } = device;
  const slowest = Math.max(...able.map(({ predictedSeconds }) => predictedSeconds!));
  const filling = Math.min(CALLS_PER_GRAPH, Math.ceil(sampleSeconds / slowest));
  const calls = Math.max(operands.b.length, filling);
  const samplers: Sampler[] = [];
  try {
    for (const { kernel } of able) {
      const graph = Graph.capture(device, () => {
        for (let call = 0; call < calls; ++call) {
          const problem = problemOf(operands, call, description);
          using out = Tensor.empty([problem.m, problem.n], problem.outDType, device);
          problem.run(kernel.index, out);
        }
      });
      samplers.push({ kernel: kernel.name, graph, launches: 1, samples: [] });
    }
    for (const sampler of samplers) {
      // The first launch pays for what is done once.
      await sample(stream, sampler);
      sampler.launches = Math.max(1, Math.ceil(sampleSeconds / (await sample(stream, sampler))));
      signal?.throwIfAborted();
    }
    for (let round = 0; round < rounds; ++round) {
      for (let turn = 0; turn < samplers.length; ++turn) {
        const sampler = samplers[(round + turn) % samplers.length]!;
        const seconds = await sample(stream, sampler);
        sampler.samples.push(seconds / (sampler.launches * calls));
        signal?.throwIfAborted();
      }
    }
    return Object.fromEntries(samplers.map(({ kernel, samples }) => [kernel, median(samples)]));
  } finally {
    for (const { graph } of samplers) graph.dispose();
  }
}

/** Seconds of the device that the launches of a sample take. */
async function sample(stream: Stream, { graph, launches }: Sampler): Promise<number> {
  const start = stream.record({ timing: true });
  stream.run(() => {
    for (let launch = 0; launch < launches; ++launch) graph.launch();
  });
  const end = stream.record({ timing: true });
  await stream.synchronize();
  return end.secondsSince(start);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((x, y) => x - y);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
