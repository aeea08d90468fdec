import { shapeName } from '../../gemm/shapes.js';
import { productName } from '../../results/names.js';
import type { LayerResults, LayerRow } from '../../results/types.js';
import type { Figure } from '../figure.js';
import { renderCells, speedupColor } from './cells.js';
import { MOST_BAR_SHAPES } from './gemm-plot.js';
import { kindOf, renderBars } from './plot.js';

const variant = ({ weight, activations, rotation }: LayerRow) => productName(weight, activations, rotation);

/** Speed of whole layers against the dense layer. */
export function layerFigures({ rows }: LayerResults): Figure[] {
  const common = { id: 'speedup', title: 'Speed of whole layers' };
  const intro =
    'From dense activations to dense results, quantizing included, against the dense layer in the same rounds.';
  if (new Set(rows.map(shapeName)).size > MOST_BAR_SHAPES) {
    const cells = rows.map((row) => ({
      group: `${row.n} x ${row.k}`,
      column: String(row.m),
      row: variant(row),
      color: speedupColor(row.speedup.median),
      text: row.speedup.median.toFixed(2),
      title: `${shapeName(row)}, ${variant(row)}: the product alone ${row.idealSpeedup.median.toFixed(2)}`,
    }));
    const caption = `${intro} Groups are weights N x K, columns numbers of tokens M; a number is a speedup.`;
    return [{ ...common, caption, legends: [], panels: renderCells(cells, 'M') }];
  }
  const bars = rows.map((row) => ({
    name: variant(row),
    kind: kindOf(row.weight),
    value: row.speedup,
    text: row.speedup.median.toFixed(2),
    panel: shapeName(row),
    mark: row.idealSpeedup.median,
  }));
  const caption = `${intro} The mark beside a bar is the product alone, of activations quantized beforehand.`;
  return [{ ...common, caption, ...renderBars(bars, 'speed relative to the dense layer', 1) }];
}
