import { layerName } from '../../experts/layers.js';
import type { ExpertsResults } from '../../results/types.js';
import type { Figure } from '../figure.js';
import { kindOf, renderBars } from './plot.js';

/** Speed of one call for all experts over one call for each. */
export function expertsFigures({ rows }: ExpertsResults): Figure[] {
  const bars = rows.map((row) => ({
    name: `${row.weight}, ${row.tokens} tokens`,
    kind: kindOf(row.weight),
    value: row.speedup,
    text: row.speedup.median.toFixed(2),
    panel: layerName(row),
  }));
  const caption =
    'All experts in one call, against one call for each of those that have rows, in the same rounds.';
  const title = 'Speed of experts';
  return [{ id: 'speedup', title, caption, ...renderBars(bars, 'speed relative to one by one', 1) }];
}
