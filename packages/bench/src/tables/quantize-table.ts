import { quantizeRowName } from '../results/names.js';
import type { QuantizeResults, QuantizeRow } from '../results/types.js';
import { percent, roundsNote, speedupCell, timeColumns } from './columns.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

const COLUMNS: readonly ColumnOf<QuantizeRow>[] = [
  { title: 'Format', value: quantizeRowName },
  { title: 'Global scale', value: ({ globalScale }) => globalScale ?? '' },
  ...timeColumns<QuantizeRow>('Time', ({ seconds }) => seconds),
  { title: 'GB/s', align: 'right', value: ({ gigabytesPerSecond }) => gigabytesPerSecond.toPrecision(3) },
  { title: 'Of copying', align: 'right', value: ({ copyFraction }) => percent(copyFraction) },
  { title: 'vs copy', align: 'right', value: ({ speedup }) => speedupCell(speedup) },
];

/** One table for each matrix. */
export function quantizeTables({ rows, settings }: QuantizeResults): Table[] {
  const matrixOf = ({ m, k, dtype, cache }: QuantizeRow) =>
    `Quantizers on ${dtype} [${m}, ${k}], ${cache === 'hot' ? 'in the cache' : 'not in the cache'}`;
  const titles = [...new Set(rows.map(matrixOf))];
  const note =
    `${roundsNote(settings.rounds)} Bytes are the input, read once, and codes and scales, written once. Of copying: bytes per ` +
    'second over those of copying a large tensor. vs copy: time of copying this matrix in the same rounds over that of ' +
    'quantizing it.';
  const made = rows.some((row) => row.made)
    ? ' Of RMSNorm, of silu(gate) * up: with what makes the matrix; bytes are then those that it is made of.'
    : '';
  const training = rows.some((row) => row.training)
    ? ' Transposed: of the transpose, whose groups run down the columns. Requantized: of the transpose of a matrix in the ' +
      'format, which is then the input. Squares: one scale for 32 x 32, written for rows and for columns.'
    : '';
  return titles.map((title, index) => {
    const own = rows.filter((row) => matrixOf(row) === title);
    return tableOf(title, own, COLUMNS, index === titles.length - 1 ? note + made + training : undefined);
  });
}
