import { shapeName } from '../gemm/shapes.js';
import { productName } from '../results/names.js';
import type { LayerResults, LayerRow } from '../results/types.js';
import { percent, roundsNote, speedupCell, timeColumns } from './columns.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

const COLUMNS: readonly ColumnOf<LayerRow>[] = [
  {
    title: 'Activations x weight',
    value: ({ weight, activations, rotation }) => productName(weight, activations, rotation),
  },
  { title: 'Kernel', value: ({ kernel }) => kernel },
  ...timeColumns<LayerRow>('Layer', ({ seconds }) => seconds),
  { title: 'vs dense', align: 'right', value: ({ speedup }) => speedupCell(speedup) },
  ...timeColumns<LayerRow>('Product', ({ idealSeconds }) => idealSeconds),
  { title: 'vs dense', align: 'right', value: ({ idealSpeedup }) => speedupCell(idealSpeedup) },
  {
    title: 'Quantizing',
    align: 'right',
    value: ({ activations, seconds, idealSeconds }) =>
      activations === null ? '' : percent(Math.max(0, 1 - idealSeconds.median / seconds.median)),
  },
];

/** One table for each shape. */
export function layerTables({ rows, settings }: LayerResults): Table[] {
  const shapes = [...new Set(rows.map(shapeName))];
  const note =
    `${roundsNote(settings.rounds)} Layer: from dense activations to dense results. Product: of activations that were ` +
    'rotated and quantized beforehand. Quantizing: the share of the layer that this makes. vs dense: time of the dense ' +
    'layer in the same rounds over that of this one. Weights are not in the cache.';
  return shapes.map((shape, index) => {
    const own = rows.filter((row) => shapeName(row) === shape);
    return tableOf(
      `Layers of M x N x K = ${shape}`,
      own,
      COLUMNS,
      index === shapes.length - 1 ? note : undefined,
    );
  });
}
