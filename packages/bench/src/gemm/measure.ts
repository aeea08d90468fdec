import { type Device, type FloatDType, invalidArgument, loadBinding, Tensor } from '@qutlass/core-kernels';
import { explain, matmul, type PreparedWeight } from '@qutlass/gemm';
import { type QuantizedTensor, quantize } from '@qutlass/quant';
import type { Progress } from '../progress.js';
import { randomMatrix } from '../random.js';
import type { GemmResults, GemmRow } from '../results/types.js';
import { type Operands, operandName } from './operands.js';
import { type Contender, sampleInterleaved } from './sampling.js';
import { type Shape, shapeName } from './shapes.js';
import { type BenchWeight, lastLevelCacheBytes, WeightCopies } from './weights.js';

/** Kernels whose prediction is worse than the best by more than this factor are not worth the time. */
const WORTH_TRYING = 2;

const OUTPUT = { outDType: 'f32' } as const;

export interface GemmOptions {
  device: Device;
  shapes: readonly Shape[];
  operands: readonly Operands[];
  /** Names; default: those predicted to take at most twice as long as the best. */
  kernels?: readonly string[] | undefined;
  rounds: number;
  sampleSeconds: number;
  signal?: AbortSignal;
  progress?: Progress;
}

type Activations = Tensor<FloatDType> | QuantizedTensor;

/**
 * Times the kernels of each product against the dense f32 product of the same shape, in the same rounds. Activations are
 * quantized beforehand; the results are float32.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` for unknown kernels; `QUTLASS_E_SHAPE` if K does not fit a format
 */
export async function measureGemm(options: GemmOptions): Promise<Pick<GemmResults, 'settings' | 'rows'>> {
  const { device, shapes, operands, rounds, sampleSeconds } = options;
  requireKernels(options.kernels);
  const cacheBytes = await lastLevelCacheBytes();
  const rows: GemmRow[] = [];
  for (const sameMatrix of groupBy(shapes, ({ n, k }) => `${n} x ${k}`)) {
    const { n, k } = sameMatrix[0]!;
    using dense = Tensor.from(randomMatrix('normal', n, k, 1), { shape: [n, k], device });
    using baseline = WeightCopies.make(dense, 'f32', cacheBytes);
    for (const sameWeight of groupBy(operands, ({ weight }) => operandName(weight))) {
      using weights = WeightCopies.make(dense, sameWeight[0]!.weight, cacheBytes);
      for (const shape of sameMatrix) {
        options.progress?.step(`${shapeName(shape)} ${operandName(sameWeight[0]!.weight)}`);
        rows.push(...(await measureShape(shape, sameWeight, weights, baseline, options)));
      }
    }
  }
  // In the order that they were asked for, which is not that of the measurement.
  const position = (row: Shape) => shapes.findIndex((shape) => shapeName(shape) === shapeName(row));
  rows.sort((x, y) => position(x) - position(y));
  return { settings: { rounds, sampleSeconds, cacheBytes }, rows };
}

/** A kernel on a pair of operands. */
interface Candidate extends Contender {
  readonly operands: Operands;
  readonly kernel: string;
  readonly chosen: boolean;
}

async function measureShape(
  shape: Shape,
  operands: readonly Operands[],
  weights: WeightCopies,
  baseline: WeightCopies,
  { device, kernels, rounds, sampleSeconds, signal }: GemmOptions,
): Promise<GemmRow[]> {
  const { m, n, k } = shape;
  using dense = Tensor.from(randomMatrix('normal', m, k, 2), { shape: [m, k], device });
  const activations = operands.map(({ a }) => (typeof a === 'string' ? dense.to(a) : quantize(dense, a)));
  const rows: GemmRow[] = [];
  try {
    for (const cache of ['hot', 'cold'] as const) {
      const reference = { enqueue: (index: number) => enqueue(dense, baseline.at(cache, index)) };
      const candidates = operands.flatMap((pair, index) =>
        candidatesOf(pair, activations[index]!, (call) => weights.at(cache, call), kernels),
      );
      if (candidates.length === 0) continue;
      const sampled = await sampleInterleaved([reference, ...candidates], {
        rounds,
        sampleSeconds,
        synchronize: () => device.defaultStream.synchronizeSync(),
        ...(signal && { signal }),
      });
      candidates.forEach(({ operands: { a, weight }, kernel, chosen }, index) => {
        const { seconds, speedup } = sampled[index + 1]!;
        rows.push({
          ...{ m, n, k },
          a: operandName(a),
          weight: operandName(weight),
          kernel,
          chosen,
          cache,
          weightBytes: weights.bytesEach,
          seconds,
          gops: (2 * m * n * k) / seconds.median / 1e9,
          weightGigabytesPerSecond: weights.bytesEach / seconds.median / 1e9,
          speedup,
        });
      });
    }
    return rows;
  } finally {
    for (const tensor of activations) tensor.dispose();
  }
}

/** The kernels to time on these operands: the named ones that can run, or those that are worth it. */
function candidatesOf(
  operands: Operands,
  a: Activations,
  weightOf: (call: number) => BenchWeight,
  kernels: readonly string[] | undefined,
): Candidate[] {
  const { candidates, chosen } =
    a instanceof Tensor ? explain(a, weightOf(0), OUTPUT) : explain(a, weightOf(0) as PreparedWeight, OUTPUT);
  const able = candidates.filter(({ refusal }) => refusal === undefined);
  const fastest = Math.min(...able.map(({ predictedSeconds }) => predictedSeconds!));
  return able
    .filter(({ kernel, predictedSeconds }) =>
      kernels ? kernels.includes(kernel.name) : predictedSeconds! <= WORTH_TRYING * fastest,
    )
    .map(({ kernel: { name } }) => ({
      operands,
      kernel: name,
      chosen: name === chosen,
      enqueue: (call) => enqueue(a, weightOf(call), name),
    }));
}

function enqueue(a: Activations, weight: BenchWeight, kernel?: string): void {
  const options = { ...OUTPUT, ...(kernel && { kernel }) };
  const out = a instanceof Tensor ? matmul(a, weight, options) : matmul(a, weight as PreparedWeight, options);
  out.dispose();
}

function requireKernels(names: readonly string[] | undefined): void {
  const known = loadBinding()
    .kernels()
    .filter(({ available }) => available)
    .map(({ name }) => name);
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      '--kernels',
      `some of ${known.join(', ')}`,
      JSON.stringify(unknown),
    );
  }
}

/** The items in groups of equal keys, in the order of their first appearance. */
function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const keys = [...new Set(items.map(keyOf))];
  return keys.map((key) => items.filter((item) => keyOf(item) === key));
}
