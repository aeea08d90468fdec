import { shapeName } from '../gemm/shapes.js';
import type { GemmResults, GemmRow } from '../results/types.js';
import { percent, roundsNote, speedupCell, timeColumns } from './columns.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

/** A kernel on its operands, with the weight in the cache, if that was measured, and not. */
interface Pair {
  hot: GemmRow | undefined;
  cold: GemmRow;
}

/** One table for each shape. */
export function gemmTables({ rows, settings }: GemmResults): Table[] {
  const shapes = [...new Set(rows.map(shapeName))];
  const cache = (settings.cacheBytes / 2 ** 20).toFixed(0);
  const note =
    `${roundsNote(settings.rounds)} Cold: weights in turn, beyond the ${cache} MiB cache. ` +
    'vs dense: time of the dense kernel that the title names, in the same rounds, over that of this one; the dense row is a ' +
    'control, the same product on other memory: differences as small as its own mean nothing. Of reading: bytes of both ' +
    'operands and the result per second, over what reading alone reaches. Of peak: operations per second over those of a ' +
    'large product by cuBLASLt, in the fastest precision that the device has for these operands. * the kernel that the ' +
    'library chooses.';
  return shapes.map((shape, index) => {
    const own = rows.filter((row) => shapeName(row) === shape);
    const pairs = own
      .filter(({ cache }) => cache === 'cold')
      .map((cold) => ({ cold, hot: own.find((row) => row.cache === 'hot' && sameProduct(row, cold)) }));
    const columns = [
      ...COLUMNS,
      ...(pairs.some(({ cold }) => cold.peakFraction !== null) ? [PEAK_COLUMN] : []),
      ...(pairs.some(({ hot }) => hot) ? HOT_COLUMNS : []),
    ];
    const title = `M x N x K = ${shape}, against ${own[0]!.baseline}`;
    // The same words hold for all tables.
    return tableOf(title, pairs, columns, index === shapes.length - 1 ? note : undefined);
  });
}

function sameProduct(x: GemmRow, y: GemmRow): boolean {
  return x.a === y.a && x.weight === y.weight && x.kernel === y.kernel;
}

const COLUMNS: readonly ColumnOf<Pair>[] = [
  { title: 'A x B', value: ({ cold }) => `${cold.a} x ${cold.weight}` },
  { title: 'Kernel', value: ({ cold }) => `${cold.kernel}${cold.chosen ? ' *' : ''}` },
  ...timeColumns<Pair>('Cold', ({ cold }) => cold.seconds),
  { title: 'vs dense', align: 'right', value: ({ cold }) => speedupCell(cold.speedup) },
  { title: 'GOP/s', align: 'right', value: ({ cold }) => cold.gops.toPrecision(3) },
  { title: 'GB/s', align: 'right', value: ({ cold }) => cold.weightGigabytesPerSecond.toPrecision(3) },
  { title: 'Of reading', align: 'right', value: ({ cold }) => percent(cold.bandwidthFraction) },
];

const PEAK_COLUMN: ColumnOf<Pair> = {
  title: 'Of peak',
  align: 'right',
  value: ({ cold: { peakFraction } }) => (peakFraction === null ? '' : percent(peakFraction)),
};

const HOT_COLUMNS: readonly ColumnOf<Pair>[] = [
  ...timeColumns<Pair>('Hot', ({ hot, cold }) => (hot ?? cold).seconds),
  { title: 'vs dense', align: 'right', value: ({ hot, cold }) => speedupCell((hot ?? cold).speedup) },
];
