import type { HostResults } from '../../results/types.js';
import type { Figure } from '../figure.js';
import { renderBars } from './plot.js';

/** Microseconds of the JavaScript thread. */
export function hostFigures({ rows }: HostResults): Figure[] {
  const microseconds = (seconds: number) => 1e6 * seconds;
  const bars = rows.map(({ operation, nodes, seconds: { median, p10, p90 } }) => ({
    name: nodes > 1 ? `${operation}, ${nodes} kernels` : operation,
    kind: 'dense' as const,
    value: { median: microseconds(median), p10: microseconds(p10), p90: microseconds(p90) },
    text: microseconds(median).toFixed(1),
  }));
  const { panels } = renderBars(bars, 'microseconds of the JavaScript thread');
  const caption = 'Time until a call is enqueued; the bar is the median, the line 80 % of the rounds.';
  return [{ id: 'host', title: 'Host cost', caption, legends: [], panels }];
}
