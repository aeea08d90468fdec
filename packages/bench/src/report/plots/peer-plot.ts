import { shapeName } from '../../gemm/shapes.js';
import type { PeerResults } from '../../results/types.js';
import type { Figure } from '../figure.js';
import { renderBars } from './plot.js';

/** Speed over that of other libraries. */
export function peerFigures({ rows }: PeerResults): Figure[] {
  const bars = rows.map(({ weight, accuracy, cache, threads, peer, speedup, ...shape }) => ({
    name: `${shapeName(shape)} ${weight}, ${accuracy}, ${cache}, ${threads} threads: ${peer}`,
    kind: 'dense' as const,
    value: speedup,
    text: `${speedup.median.toFixed(2)}x`,
  }));
  const { panels } = renderBars(bars, 'time of the other library over that of qutlass');
  const caption = 'Speed over that of another library; the bar is the median, the line 80 % of the rounds.';
  return [{ id: 'peers-cpu', title: 'Other libraries', caption, legends: [], panels }];
}
