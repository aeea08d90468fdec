import { deviation, isErrorOff } from '../accuracy/check.js';
import type { ErrorRow } from '../results/types.js';
import { formatScientific, formatSigned } from './format.js';
import { type Cell, type ColumnOf, type Table, tableOf } from './table.js';

/** A format without and with rotation. */
interface Pair {
  plain: ErrorRow;
  rotated: ErrorRow | undefined;
}

/** One table for each distribution. */
export function errorTables(rows: readonly ErrorRow[]): Table[] {
  const distributions = [...new Set(rows.map(({ distribution }) => distribution))];
  return distributions.map((name) => {
    const own = rows.filter(({ distribution }) => distribution === name);
    const pairs = own
      .filter(({ rotation }) => rotation === null)
      .map((plain) => ({
        plain,
        rotated: own.find((row) => row.format === plain.format && row.rotation !== null),
      }));
    return tableOf(`Relative squared error on ${name}`, pairs, COLUMNS);
  });
}

const measured = (row: ErrorRow | undefined): string =>
  row ? formatScientific(row.relativeSquaredError) : '';
const expected = (row: ErrorRow | undefined): string =>
  row && row.expected !== null ? formatScientific(row.expected) : '';
const off = (row: ErrorRow | undefined): Cell => {
  const value = row && deviation(row);
  if (value == null) return { text: '' };
  return { text: `${formatSigned(100 * value, 1)} %`, tone: isErrorOff(row!) ? 'bad' : 'good' };
};

/** A rotation that changes the error by less leaves it as it was. */
const NOTICEABLE = 0.01;

const change = ({ plain, rotated }: Pair): Cell => {
  if (!rotated) return { text: '' };
  const value = rotated.relativeSquaredError / plain.relativeSquaredError - 1;
  const tone = Math.abs(value) < NOTICEABLE ? 'muted' : value < 0 ? 'good' : 'bad';
  return { text: `${formatSigned(100 * value, 0)} %`, tone };
};

const COLUMNS: readonly ColumnOf<Pair>[] = [
  { title: 'Format', value: ({ plain }) => plain.format },
  { title: 'Bits', align: 'right', value: ({ plain }) => plain.bitsPerElement.toFixed(2) },
  { title: 'Measured', align: 'right', value: ({ plain }) => measured(plain) },
  { title: 'Expected', align: 'right', value: ({ plain }) => expected(plain) },
  { title: 'Off by', align: 'right', value: ({ plain }) => off(plain) },
  { title: 'Rotation', value: ({ rotated }) => rotated?.rotation ?? '' },
  { title: 'Measured', align: 'right', value: ({ rotated }) => measured(rotated) },
  { title: 'Expected', align: 'right', value: ({ rotated }) => expected(rotated) },
  { title: 'Off by', align: 'right', value: ({ rotated }) => off(rotated) },
  { title: 'By rotation', align: 'right', value: change },
];
