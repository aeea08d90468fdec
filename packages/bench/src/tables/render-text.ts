import CliTable from 'cli-table3';
import type { Colors } from '../cli/colors.js';
import type { Cell, Table } from './table.js';

/** No borders but a rule under the head: narrow, and easy to copy. */
const CHARS = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
};

/** The table as text for a terminal. */
export function renderText({ title, columns, rows, note }: Table, colors: Colors): string {
  const paint = ({ text, tone }: Cell) => {
    if (tone === undefined) return text;
    return { good: colors.green, bad: colors.red, muted: colors.dim }[tone](text);
  };
  const table = new CliTable({
    head: columns.map((column) => colors.bold(column.title)),
    colAligns: columns.map(({ align = 'left' }) => align),
    chars: CHARS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...rows.map((row) => row.map(paint)));
  const body = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
  return [colors.bold(title), body, ...(note ? [colors.dim(note)] : [])].join('\n');
}
