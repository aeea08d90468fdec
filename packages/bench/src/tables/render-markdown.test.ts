import { expect, it } from 'vitest';
import { renderMarkdown } from './render-markdown.js';

it('renders a table with its note', () => {
  const table = {
    title: 'Kernels *',
    columns: [{ title: 'Name' }, { title: 'Time', align: 'right' as const }],
    rows: [[{ text: 'a|b_c' }, { text: '1 us', tone: 'good' as const }]],
    note: '* the chosen one',
  };
  expect(renderMarkdown(table)).toBe(
    [
      '**Kernels \\***',
      '',
      '| Name | Time |',
      '| --- | --: |',
      '| a\\|b\\_c | 1 us |',
      '',
      '\\* the chosen one',
      '',
    ].join('\n'),
  );
});
