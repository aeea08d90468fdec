import { invalidArgument } from '@qutlass/core-kernels';
import { layerName } from './experts/layers.js';
import { shapeName } from './gemm/shapes.js';
import { decodeRowName, errorRowName, modelRowName, productName, quantizeRowName } from './results/names.js';
import type {
  DecodeRow,
  ErrorRow,
  ExpertsRow,
  GemmRow,
  HostRow,
  LayerRow,
  ModelRow,
  PeerRow,
  QuantizeRow,
  Results,
  TimedRun,
} from './results/types.js';
import { exact, type Spread } from './statistics.js';

/** One measured quantity of a results file. */
export interface Metric {
  /** What was measured, equal in files that can be compared. */
  readonly key: string;
  readonly quantity: string;
  readonly better: 'lower' | 'higher';
  readonly spread: Spread;
}

/** A quantity that both files have. */
export interface Comparison extends Omit<Metric, 'spread'> {
  readonly before: Spread;
  readonly after: Spread;
  /** After over before, of the medians. */
  readonly ratio: number;
  /** `same` unless the spreads from the 10th to the 90th percentile are apart. */
  readonly verdict: 'better' | 'worse' | 'same';
}

export interface ComparisonReport {
  readonly suite: Results['suite'];
  /** Differences of the machines, which make times incomparable. */
  readonly warnings: readonly string[];
  readonly compared: readonly Comparison[];
  /** Keys that only one file has. */
  readonly removed: readonly string[];
  readonly added: readonly string[];
}

/** Relative change of a deterministic quantity that counts: instruction sets order sums differently. */
const EXACT_NOISE = 1e-4;

/** @throws QutlassError `QUTLASS_E_ARGUMENT` if the files are of different suites */
export function compareResults(before: Results, after: Results): ComparisonReport {
  if (before.suite !== after.suite) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'compare', `two files of suite ${before.suite}`, after.suite);
  }
  const old = new Map(metricsOf(before).map((metric) => [identity(metric), metric]));
  const now = metricsOf(after);
  const names = new Set(now.map(identity));
  return {
    suite: before.suite,
    warnings: machineWarnings(before, after),
    compared: now.flatMap((metric) => {
      const previous = old.get(identity(metric));
      return previous ? [compareMetric(previous, metric)] : [];
    }),
    removed: [...old.keys()].filter((name) => !names.has(name)),
    added: [...names].filter((name) => !old.has(name)),
  };
}

function compareMetric(before: Metric, { key, quantity, better, spread: after }: Metric): Comparison {
  const rises = after.p10 > before.spread.p90;
  const falls = after.p90 < before.spread.p10;
  const improved = better === 'higher' ? rises : falls;
  return {
    key,
    quantity,
    better,
    before: before.spread,
    after,
    ratio: after.median / before.spread.median,
    verdict: improved ? 'better' : rises || falls ? 'worse' : 'same',
  };
}

function identity({ key, quantity }: Metric): string {
  return `${key}, ${quantity}`;
}

function metricsOf(results: Results): Metric[] {
  switch (results.suite) {
    case 'gemm':
      return [...limitMetrics(results), ...results.rows.map(gemmMetric)];
    case 'quantize':
      return [...limitMetrics(results), ...results.rows.map(quantizeMetric)];
    case 'layer':
      return [...limitMetrics(results), ...results.rows.flatMap(layerMetrics)];
    case 'experts':
      return [...limitMetrics(results), ...results.rows.flatMap(expertsMetrics)];
    case 'decode':
      return [...limitMetrics(results), ...results.rows.flatMap(decodeMetrics)];
    case 'host':
      return results.rows.map(hostMetric);
    case 'peers-cpu':
      return [...limitMetrics(results), ...results.rows.map(peerMetric)];
    case 'demo':
      return results.rows.flatMap(modelMetrics);
    case 'accuracy':
      return [...results.rows.flatMap(modelMetrics), ...results.errors.map(errorMetric)];
  }
}

/** If the limits moved, so will everything that is near them. */
function limitMetrics({ limits: { readBandwidth, copyBandwidth, launchSeconds } }: TimedRun): Metric[] {
  return [
    { key: 'reading memory', quantity: 'bytes per second', better: 'higher', spread: readBandwidth },
    { key: 'copying memory', quantity: 'bytes per second', better: 'higher', spread: copyBandwidth },
    { key: 'kernel on one element', quantity: 'seconds', better: 'lower', spread: launchSeconds },
  ];
}

function gemmMetric(row: GemmRow): Metric {
  const key = `${shapeName(row)} ${row.a} x ${row.weight} ${row.kernel} ${row.cache}`;
  return { key, quantity: 'seconds', better: 'lower', spread: row.seconds };
}

function quantizeMetric(row: QuantizeRow): Metric {
  const { m, k, globalScale, seconds } = row;
  const scale = globalScale ? `, global scale ${globalScale}` : '';
  const key = `${m} x ${k} ${quantizeRowName(row)}${scale}`;
  return { key, quantity: 'seconds', better: 'lower', spread: seconds };
}

function layerMetrics(row: LayerRow): Metric[] {
  const key = `${shapeName(row)} ${productName(row.weight, row.activations, row.rotation)}`;
  return [
    { key, quantity: 'seconds', better: 'lower', spread: row.seconds },
    { key, quantity: 'seconds of the product', better: 'lower', spread: row.idealSeconds },
  ];
}

function expertsMetrics(row: ExpertsRow): Metric[] {
  const key = `${layerName(row)}, ${row.tokens} tokens, ${row.weight}`;
  return [
    { key, quantity: 'seconds', better: 'lower', spread: row.seconds },
    { key, quantity: 'seconds one by one', better: 'lower', spread: row.separateSeconds },
  ];
}

function decodeMetrics(row: DecodeRow): Metric[] {
  const key = `${row.model}, ${row.layers} layers, ${row.context} tokens, ${decodeRowName(row)}`;
  return [
    { key, quantity: 'prefill tokens per second', better: 'higher', spread: row.prefillTokensPerSecond },
    { key, quantity: 'tokens per second', better: 'higher', spread: row.tokensPerSecond },
    { key, quantity: 'generated tokens per second', better: 'higher', spread: row.generatedTokensPerSecond },
  ];
}

/** The ratio, which is what moves least between runs. */
function peerMetric(row: PeerRow): Metric {
  const key = `${shapeName(row)} ${row.weight} ${row.accuracy}, ${row.cache}, ${row.threads} threads`;
  return { key, quantity: `speed over ${row.peer}`, better: 'higher', spread: row.speedup };
}

function hostMetric({ operation, nodes, seconds }: HostRow): Metric {
  return {
    key: `${operation}, ${nodes} kernels`,
    quantity: 'host seconds',
    better: 'lower',
    spread: seconds,
  };
}

function modelMetrics(row: ModelRow): Metric[] {
  const key = modelRowName(row);
  return [
    { key, quantity: 'loss', better: 'lower', spread: reproducible(row.loss) },
    { key, quantity: 'tokens per second', better: 'higher', spread: row.tokensPerSecond },
  ];
}

function errorMetric(row: ErrorRow): Metric {
  const key = `${errorRowName(row)} on ${row.distribution}`;
  return {
    key,
    quantity: 'relative squared error',
    better: 'lower',
    spread: reproducible(row.relativeSquaredError),
  };
}

function reproducible(value: number): Spread {
  return { ...exact(value), p10: value * (1 - EXACT_NOISE / 2), p90: value * (1 + EXACT_NOISE / 2) };
}

function machineWarnings(before: Results, after: Results): string[] {
  const facts = ({ machine: { cpu, isa, threads }, gpu }: Results) => ({
    cpu,
    isa,
    threads,
    gpu: gpu?.name ?? 'none',
  });
  const [old, now] = [facts(before), facts(after)];
  return Object.entries(old).flatMap(([name, value]) => {
    const other = now[name as keyof typeof now];
    return value === other ? [] : [`${name}: ${value} before, ${other} after`];
  });
}
