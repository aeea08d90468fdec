import { invalidArgument } from '@qutlass/core-kernels';
import { errorRowName, modelRowName } from './results/names.js';
import type { ErrorRow, GemmRow, ModelRow, Results } from './results/types.js';
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
      return results.rows.map(gemmMetric);
    case 'demo':
      return results.rows.flatMap(modelMetrics);
    case 'accuracy':
      return [...results.rows.flatMap(modelMetrics), ...results.errors.map(errorMetric)];
  }
}

function gemmMetric({ m, n, k, a, weight, kernel, cache, seconds }: GemmRow): Metric {
  const key = `${m} x ${n} x ${k} ${a} x ${weight} ${kernel} ${cache}`;
  return { key, quantity: 'seconds', better: 'lower', spread: seconds };
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
  const fields = ['cpu', 'isa', 'threads'] as const;
  return fields
    .filter((field) => before.machine[field] !== after.machine[field])
    .map((field) => `${field}: ${before.machine[field]} before, ${after.machine[field]} after`);
}
