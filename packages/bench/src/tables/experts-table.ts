import { layerName } from '../experts/layers.js';
import type { ExpertsResults, ExpertsRow } from '../results/types.js';
import { percent, roundsNote, speedupCell, timeColumns } from './columns.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

const COLUMNS: readonly ColumnOf<ExpertsRow>[] = [
  { title: 'Weights', value: ({ weight }) => weight },
  { title: 'Tokens', align: 'right', value: ({ tokens }) => String(tokens) },
  { title: 'Experts with rows', align: 'right', value: ({ active }) => String(active) },
  ...timeColumns<ExpertsRow>('Together', ({ seconds }) => seconds),
  ...timeColumns<ExpertsRow>('One by one', ({ separateSeconds }) => separateSeconds),
  { title: 'Speedup', align: 'right', value: ({ speedup }) => speedupCell(speedup) },
  { title: 'Of reading', align: 'right', value: ({ bandwidthFraction }) => percent(bandwidthFraction) },
];

/** One table for each layer. */
export function expertsTables({ rows, settings }: ExpertsResults): Table[] {
  const layers = [...new Set(rows.map(layerName))];
  const note =
    `${roundsNote(settings.rounds)} One by one: a product for each expert that has rows. Of reading: bytes of these experts, ` +
    'of rows and results, over those that reading alone takes in that time. Weights are not in the cache.';
  return layers.map((layer, index) => {
    const own = rows.filter((row) => layerName(row) === layer);
    return tableOf(
      `Experts E x N x K = ${layer}`,
      own,
      COLUMNS,
      index === layers.length - 1 ? note : undefined,
    );
  });
}
