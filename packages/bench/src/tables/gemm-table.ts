import type { GemmResults, GemmRow } from '../results/types.js';
import { formatSeconds, formatSpread } from './format.js';
import { type Cell, type ColumnOf, type Table, tableOf } from './table.js';

/** A kernel on its operands, with the weight in the cache and not. */
interface Pair {
  hot: GemmRow;
  cold: GemmRow;
}

/** One table for each shape. */
export function gemmTables({ rows, settings }: GemmResults): Table[] {
  const shapes = [...new Set(rows.map(shapeOf))];
  const cache = (settings.cacheBytes / 2 ** 20).toFixed(0);
  const note =
    `Median of ${settings.rounds} interleaved rounds ± half the range of 80 % of them. Cold: weights in turn, beyond the ` +
    `${cache} MiB cache. vs f32: time of the dense f32 kernel in the same rounds over that of this one; the row f32 x f32 ` +
    'is a control, the same product on other memory: differences as small as its own mean nothing. ' +
    '* the kernel that the library chooses.';
  return shapes.map((shape, index) => {
    const own = rows.filter((row) => shapeOf(row) === shape);
    const pairs = own
      .filter(({ cache }) => cache === 'cold')
      .map((cold) => ({
        cold,
        hot: own.find((row) => row.cache === 'hot' && sameProduct(row, cold)) ?? cold,
      }));
    // The same words hold for all tables.
    return tableOf(`M x N x K = ${shape}`, pairs, COLUMNS, index === shapes.length - 1 ? note : undefined);
  });
}

function shapeOf({ m, n, k }: GemmRow): string {
  return `${m} x ${n} x ${k}`;
}

function sameProduct(x: GemmRow, y: GemmRow): boolean {
  return x.a === y.a && x.weight === y.weight && x.kernel === y.kernel;
}

function speedup({ speedup: { median, p10, p90 } }: GemmRow): Cell {
  const tone = p10 > 1 ? 'good' : p90 < 1 ? 'bad' : 'muted';
  return { text: `${median.toFixed(2)}x`, tone };
}

const timing = (cache: 'hot' | 'cold', title: string): ColumnOf<Pair>[] => [
  { title, align: 'right', value: (pair) => formatSeconds(pair[cache].seconds.median) },
  {
    title: '',
    align: 'right',
    value: (pair) => ({ text: formatSpread(pair[cache].seconds), tone: 'muted' }),
  },
  { title: 'vs f32', align: 'right', value: (pair) => speedup(pair[cache]) },
];

const COLUMNS: readonly ColumnOf<Pair>[] = [
  { title: 'A x B', value: ({ cold }) => `${cold.a} x ${cold.weight}` },
  { title: 'Kernel', value: ({ cold }) => `${cold.kernel}${cold.chosen ? ' *' : ''}` },
  ...timing('cold', 'Cold'),
  { title: 'GOP/s', align: 'right', value: ({ cold }) => cold.gops.toPrecision(3) },
  { title: 'GB/s', align: 'right', value: ({ cold }) => cold.weightGigabytesPerSecond.toPrecision(3) },
  ...timing('hot', 'Hot'),
];
