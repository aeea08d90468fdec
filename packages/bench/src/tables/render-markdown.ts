import type { Table } from './table.js';

/** The table in GitHub's Markdown, with its title and note. */
export function renderMarkdown({ title, columns, rows, note }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escapeCell).join(' | ')} |`;
  const rule = columns.map(({ align }) => (align === 'right' ? '--:' : '---'));
  return [
    `**${escapeText(title)}**`,
    '',
    line(columns.map((column) => column.title)),
    `| ${rule.join(' | ')} |`,
    ...rows.map((row) => line(row.map(({ text }) => text))),
    ...(note === undefined ? [] : ['', escapeText(note)]),
    '',
  ].join('\n');
}

function escapeCell(text: string): string {
  return escapeText(text).replaceAll('|', '\\|');
}

function escapeText(text: string): string {
  return text.replaceAll(/[\\*_<[]/g, '\\$&');
}
