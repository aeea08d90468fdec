import type { TimedRun } from '../results/types.js';
import type { Spread } from '../statistics.js';
import { formatSeconds, formatSpread } from './format.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

interface Limit {
  readonly name: string;
  readonly value: string;
  readonly spread: Spread;
}

const COLUMNS: readonly ColumnOf<Limit>[] = [
  { title: 'Limit', value: ({ name }) => name },
  { title: 'Measured', align: 'right', value: ({ value }) => value },
  { title: '', align: 'right', value: ({ spread }) => ({ text: formatSpread(spread), tone: 'muted' }) },
];

/** What the device does at most. */
export function limitsTable({ limits, gpu, machine }: TimedRun): Table {
  const { readBandwidth, copyBandwidth, launchSeconds, peaks } = limits;
  const rate = (spread: Spread, unit: string) => `${(spread.median / 1e9).toPrecision(4)} G${unit}`;
  const peak = (name: string, spread: Spread | null): Limit[] =>
    spread
      ? [{ name: `${name} product by cuBLASLt, ${peaks.extent}³`, value: rate(spread, 'OP/s'), spread }]
      : [];
  const rows: Limit[] = [
    { name: 'Reading memory', value: rate(readBandwidth, 'B/s'), spread: readBandwidth },
    { name: 'Copying memory, read + written', value: rate(copyBandwidth, 'B/s'), spread: copyBandwidth },
    { name: 'Kernel on one element', value: formatSeconds(launchSeconds.median), spread: launchSeconds },
    ...peak('bf16', peaks.bf16),
    ...peak('fp8', peaks.fp8),
    ...peak('int8', peaks.int8),
  ];
  return tableOf(`Limits of ${gpu?.name ?? machine.cpu}, in the same run`, rows, COLUMNS);
}
