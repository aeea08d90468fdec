import { shapeName } from '../gemm/shapes.js';
import type { PeerResults, PeerRow } from '../results/types.js';
import { percent, roundsNote, speedupCell, timeColumns } from './columns.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

/** One table for each shape and number of threads. */
export function peerTables({ rows, settings, limits }: PeerResults): Table[] {
  const columns: readonly ColumnOf<PeerRow>[] = [
    {
      title: 'Weight',
      value: ({ weight, accuracy, cache }) =>
        [weight, ...(accuracy === 'exact' ? [] : [`A in ${accuracy}`]), cache].join(', '),
    },
    ...timeColumns<PeerRow>('qutlass', ({ seconds }) => seconds),
    {
      title: 'of bandwidth',
      align: 'right',
      value: ({ weightBytes, seconds, cache }) =>
        cache === 'cold' ? percent(weightBytes / seconds.median / limits.readBandwidth.median) : '',
    },
    { title: 'Other library', value: ({ peer }) => peer },
    ...timeColumns<PeerRow>('its time', ({ peerSeconds }) => peerSeconds),
    { title: 'speedup', align: 'right', value: ({ speedup }) => speedupCell(speedup) },
  ];
  const note =
    `${roundsNote(settings.rounds)} speedup: time of the other library in the same rounds over that of qutlass. of ` +
    'bandwidth: bytes of the weight per second, over what all threads read. Activations are float32; "A in int8": both ' +
    'libraries round them to 8 bits in blocks. Weights are in the cache (hot), or copies of them exceed it (cold).';
  const groups = [...new Set(rows.map(groupName))];
  return groups.map((group, index) => {
    const own = rows.filter((row) => groupName(row) === group);
    return tableOf(group, own, columns, index === groups.length - 1 ? note : undefined);
  });
}

function groupName(row: PeerRow): string {
  return `M x N x K = ${shapeName(row)}, ${row.threads} thread${row.threads === 1 ? '' : 's'}`;
}
