import type { Comparison, ComparisonReport } from '../compare.js';
import { formatSpread } from './format.js';
import { type ColumnOf, type Table, type Tone, tableOf } from './table.js';

const TONES: Readonly<Record<Comparison['verdict'], Tone>> = { better: 'good', worse: 'bad', same: 'muted' };

const COLUMNS: readonly ColumnOf<Comparison>[] = [
  { title: 'Measured', value: ({ key }) => key },
  { title: 'Quantity', value: ({ quantity }) => quantity },
  { title: 'Before', align: 'right', value: ({ before }) => before.median.toPrecision(4) },
  { title: '', align: 'right', value: ({ before }) => ({ text: formatSpread(before), tone: 'muted' }) },
  { title: 'After', align: 'right', value: ({ after }) => after.median.toPrecision(4) },
  { title: '', align: 'right', value: ({ after }) => ({ text: formatSpread(after), tone: 'muted' }) },
  { title: 'Ratio', align: 'right', value: ({ ratio }) => ratio.toFixed(3) },
  { title: '', value: ({ verdict }) => ({ text: verdict, tone: TONES[verdict] }) },
];

/** What moved beyond the noise, the largest change first; with `all`, the rest too. */
export function compareTable({ compared }: ComparisonReport, all: boolean): Table {
  const shown = compared
    .filter(({ verdict }) => all || verdict !== 'same')
    .toSorted((x, y) => Math.abs(Math.log(y.ratio)) - Math.abs(Math.log(x.ratio)));
  const same = compared.filter(({ verdict }) => verdict === 'same').length;
  const note = `${compared.length} quantities compared, ${same} within the noise: their spreads (p10 to p90) overlap.`;
  return tableOf('After against before', shown, COLUMNS, note);
}
