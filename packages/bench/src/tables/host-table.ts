import type { HostResults, HostRow } from '../results/types.js';
import { roundsNote, timeColumns } from './columns.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

const COLUMNS: readonly ColumnOf<HostRow>[] = [
  { title: 'Operation', value: ({ operation }) => operation },
  { title: 'Kernels', align: 'right', value: ({ nodes }) => String(nodes) },
  ...timeColumns<HostRow>('Per call', ({ seconds }) => seconds),
];

export function hostTable({ rows, settings }: HostResults): Table {
  const note = `${roundsNote(settings.rounds)} Time of the JavaScript thread until the call is enqueued.`;
  return tableOf('Host cost', rows, COLUMNS, note);
}
