import type { GemmRow } from '../../results/types.js';
import type { Html } from '../html.js';
import { kindOf, renderBars } from './plot.js';

/** Speed of the chosen kernels against the dense f32 kernel, weights not in the cache, by shape. */
export function gemmPlot(rows: readonly GemmRow[]): Html {
  const bars = rows
    .filter(({ cache, chosen }) => cache === 'cold' && chosen)
    .map(({ m, n, k, a, weight, speedup }) => ({
      name: `${a} x ${weight}`,
      kind: kindOf(weight),
      value: speedup,
      text: speedup.median.toFixed(2),
      panel: `${m} x ${n} x ${k}`,
    }));
  return renderBars(bars, 'speed relative to the dense f32 kernel', 1);
}
