import { type Device, invalidArgument, loadBinding, Tensor } from '@qutlass/core-kernels';
import type { Precision } from '@qutlass/gemm';
import { paddedCols } from '@qutlass/quant';
import type { GemmRow, Limits } from '../results/types.js';
import type { Spread } from '../statistics.js';
import type { Contender } from '../timing/clock.js';
import { type CacheState, Copies } from '../timing/copies.js';
import { Pace } from '../timing/pace.js';
import { sampleInterleaved } from '../timing/sampling.js';
import { samplingOf, type TimingOptions } from '../timing/settings.js';
import { denseDType, type Operands, operandName } from './operands.js';
import {
  type BenchActivations,
  type BenchWeight,
  baselineKernel,
  enqueueProduct,
  explainProduct,
  makeActivations,
  makeWeight,
} from './product.js';
import { type Shape, shapeName } from './shapes.js';

/** Kernels whose prediction is worse than the best by more than this factor are not worth the time. */
const WORTH_TRYING = 2;

export interface GemmOptions extends TimingOptions {
  limits: Limits;
  shapes: readonly Shape[];
  operands: readonly Operands[];
  /** Names; default: those predicted to take at most twice as long as the best. */
  kernels?: readonly string[] | undefined;
}

/**
 * Times the kernels of each product against the dense product of the same shape, in the same rounds: float32 on the CPU,
 * bf16 on a GPU. Activations are quantized beforehand; results have the dtype of the baseline. Formats whose groups do not
 * fit the K of a shape are left out there, unless none fits.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` for unknown kernels; `QUTLASS_E_SHAPE` if K fits no format
 */
export async function measureGemm(options: GemmOptions): Promise<GemmRow[]> {
  const { device, shapes, operands } = options;
  requireKernels(options.kernels);
  const dtype = denseDType(device);
  const rows: GemmRow[] = [];
  const kindsFor = (k: number) => groupBy(fitting(operands, k), ({ weight }) => operandName(weight));
  const steps = shapes.reduce((sum, { k }) => sum + kindsFor(k).length, 0);
  const pace = new Pace(options.progress, steps);
  for (const sameMatrix of groupBy(shapes, ({ n, k }) => `${n} x ${k}`)) {
    const { n, k } = sameMatrix[0]!;
    using dense = Tensor.random([n, k], { dtype, device, seed: 1 });
    using baseline = Copies.make(device, () => makeWeight(dense, dtype));
    for (const sameWeight of kindsFor(k)) {
      using weights = Copies.make(device, () => makeWeight(dense, sameWeight[0]!.weight));
      for (const shape of sameMatrix) {
        pace.step(`${shapeName(shape)} ${operandName(sameWeight[0]!.weight)}`);
        rows.push(...(await measureShape(shape, sameWeight, weights, baseline, options)));
      }
    }
  }
  // In the order that they were asked for, which is not that of the measurement.
  const position = (row: Shape) => shapes.findIndex((shape) => shapeName(shape) === shapeName(row));
  return rows.toSorted((x, y) => position(x) - position(y));
}

/** The operands whose groups divide K; all if that is none. */
function fitting(operands: readonly Operands[], k: number): readonly Operands[] {
  const fits = (operand: Operands['a']) => typeof operand === 'string' || paddedCols(operand, k) === k;
  const able = operands.filter(({ a, weight }) => fits(a) && fits(weight));
  return able.length > 0 ? able : operands;
}

/** A weight that stays in the cache of a CPU tells its arithmetic from its memory; on a GPU no model has one. */
function cacheStates({ kind }: Device): readonly CacheState[] {
  return kind === 'cpu' ? ['hot', 'cold'] : ['cold'];
}

/** A kernel on a pair of operands. */
interface Candidate extends Contender {
  readonly operands: Operands;
  readonly kernel: string;
  readonly chosen: boolean;
  readonly bytes: number;
  /** Operations per second that the vendor's library reaches in the precision of these operands. */
  readonly peak: number | undefined;
}

async function measureShape(
  { m, n, k }: Shape,
  operands: readonly Operands[],
  weights: Copies<BenchWeight>,
  baseline: Copies<BenchWeight>,
  options: GemmOptions,
): Promise<GemmRow[]> {
  const { device, limits } = options;
  const dtype = denseDType(device);
  using dense = Tensor.random([m, k], { dtype, device, seed: 2 });
  const activations = operands.map(({ a }) => makeActivations(dense, a));
  const rows: GemmRow[] = [];
  try {
    const reference = baselineKernel(dense, baseline.at('cold', 0), dtype);
    for (const cache of cacheStates(device)) {
      const first: Contender = {
        enqueue: (call) => enqueueProduct(dense, baseline.at(cache, call), dtype, reference),
        period: baseline.period(cache),
      };
      const candidates = operands.flatMap((pair, index) =>
        candidatesOf(pair, activations[index]!, weights, cache, options),
      );
      if (candidates.length === 0) continue;
      const sampled = await sampleInterleaved([first, ...candidates], samplingOf(options));
      candidates.forEach(({ operands: { a, weight }, kernel, chosen, bytes, peak }, index) => {
        const { seconds, speedup } = sampled[index + 1]!;
        const rate = (2 * m * n * k) / seconds.median;
        rows.push({
          ...{ m, n, k },
          a: operandName(a),
          weight: operandName(weight),
          ...{ kernel, chosen, cache },
          weightBytes: weights.bytesEach,
          bytes,
          seconds,
          gops: rate / 1e9,
          weightGigabytesPerSecond: weights.bytesEach / seconds.median / 1e9,
          bandwidthFraction: bytes / seconds.median / limits.readBandwidth.median,
          peakFraction: peak === undefined ? null : rate / peak,
          baseline: reference,
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
  a: BenchActivations,
  weights: Copies<BenchWeight>,
  cache: CacheState,
  { device, kernels, limits }: GemmOptions,
): Candidate[] {
  const dtype = denseDType(device);
  const { candidates, chosen, bytes, precision } = explainProduct(a, weights.at(cache, 0), dtype);
  const { bf16, fp8, int8 } = limits.peaks;
  const peaks: Partial<Record<Precision, Spread | null>> = { bf16, f16: bf16, fp8, int8 };
  const peak = peaks[precision.precision]?.median;
  const able = candidates.filter(({ refusal }) => refusal === undefined);
  const fastest = Math.min(...able.map(({ predictedSeconds }) => predictedSeconds!));
  return able
    .filter(({ kernel, predictedSeconds }) =>
      kernels
        ? kernels.includes(kernel.name)
        : // A kernel with float64 sums is a definition to compare with, not one to run.
          kernel.accumulator !== 'f64' && predictedSeconds! <= WORTH_TRYING * fastest,
    )
    .map(({ kernel: { name } }) => ({
      ...{ operands, kernel: name, chosen: name === chosen, bytes },
      peak: peak === undefined ? undefined : peak / precision.products,
      enqueue: (call) => enqueueProduct(a, weights.at(cache, call), dtype, name),
      period: weights.period(cache),
    }));
}

/** @throws QutlassError `QUTLASS_E_ARGUMENT` unless this machine has kernels of these names */
export function requireKernels(names: readonly string[] | undefined): void {
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
