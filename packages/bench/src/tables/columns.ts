import type { Spread } from '../statistics.js';
import { formatSeconds, formatSpread } from './format.js';
import type { Cell, ColumnOf } from './table.js';

/** A time, and half of the range of 80 % of the rounds. */
export function timeColumns<T>(title: string, secondsOf: (item: T) => Spread): ColumnOf<T>[] {
  return [
    { title, align: 'right', value: (item) => formatSeconds(secondsOf(item).median) },
    { title: '', align: 'right', value: (item) => ({ text: formatSpread(secondsOf(item)), tone: 'muted' }) },
  ];
}

/** `2.00x`, good or bad if the rounds agree on it. */
export function speedupCell({ median, p10, p90 }: Spread): Cell {
  const tone = p10 > 1 ? 'good' : p90 < 1 ? 'bad' : 'muted';
  return { text: `${median.toFixed(2)}x`, tone };
}

/** `87 %` */
export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(0)} %`;
}

/** What the spreads of a timed suite mean. */
export function roundsNote(rounds: number): string {
  return `Median of ${rounds} interleaved rounds ± half the range of 80 % of them.`;
}
