import { shapeName } from '../../gemm/shapes.js';
import type { GemmResults, GemmRow } from '../../results/types.js';
import type { Figure } from '../figure.js';
import { fractionColor, renderCells, speedupColor } from './cells.js';
import { kindOf, renderBars } from './plot.js';

/** So few shapes have bars, which show the spread; more of them are a grid of numbers. */
export const MOST_BAR_SHAPES = 4;

/** Rows of A up to which a product is bound by memory. */
const FEW_ROWS = 16;

/** Speed of the chosen kernels against the dense kernel, and how much of the memory's bandwidth they use. */
export function gemmFigures({ rows, gpu }: GemmResults): Figure[] {
  const chosen = rows.filter((row) => row.cache === 'cold' && row.chosen);
  const figures = [speedupFigure(chosen)];
  if (gpu && chosen.some(({ m }) => m <= FEW_ROWS)) figures.push(bandwidthFigure(chosen));
  return figures;
}

function productOf({ a, weight }: GemmRow): string {
  return `${a} x ${weight}`;
}

function speedupFigure(rows: readonly GemmRow[]): Figure {
  const baselines = [...new Set(rows.map(({ baseline }) => baseline))].join(' or ');
  const intro =
    'The kernel that the library chooses, weights not in the cache, activations quantized beforehand, against the dense ' +
    `kernel (${baselines}) in the same rounds.`;
  const common = { id: 'speedup', title: 'Speed by shape and format' };
  if (new Set(rows.map(shapeName)).size > MOST_BAR_SHAPES) {
    const cells = rows.map((row) => ({
      ...place(row),
      color: speedupColor(row.speedup.median),
      text: row.speedup.median.toFixed(2),
    }));
    const caption = `${intro} Groups are weights N x K, columns numbers of rows M; a number is a speedup.`;
    return { ...common, caption, legends: [], panels: renderCells(cells, 'M') };
  }
  const bars = rows.map((row) => ({
    name: productOf(row),
    kind: kindOf(row.weight),
    value: row.speedup,
    text: row.speedup.median.toFixed(2),
    panel: shapeName(row),
  }));
  const caption = `${intro} The bar is the median, the line 80 % of the rounds; the dashed line is the dense kernel.`;
  return { ...common, caption, ...renderBars(bars, 'speed relative to the dense kernel', 1) };
}

function bandwidthFigure(rows: readonly GemmRow[]): Figure {
  const cells = rows
    .filter(({ m }) => m <= FEW_ROWS)
    .map((row) => ({
      ...place(row),
      color: fractionColor(row.bandwidthFraction),
      text: (100 * row.bandwidthFraction).toFixed(0),
    }));
  return {
    id: 'bandwidth',
    title: "Use of the memory's bandwidth, in percent",
    caption:
      'Weight, activations and result, each moved once, over the time of the kernel that the library chooses: as a share of ' +
      'the bandwidth that only reading reaches in the same run. Groups are weights N x K, columns numbers of rows M.',
    legends: [],
    panels: renderCells(cells, 'M'),
  };
}

/** Where the number of a row is in a grid. */
function place(row: GemmRow) {
  return {
    group: `${row.n} x ${row.k}`,
    column: String(row.m),
    row: productOf(row),
    title: `${shapeName(row)}, ${productOf(row)}: ${row.kernel}`,
  };
}
