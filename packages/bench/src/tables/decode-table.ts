import { productName } from '../results/names.js';
import type { DecodeResults, DecodeRow } from '../results/types.js';
import { percent, roundsNote, speedupCell } from './columns.js';
import { formatMegabytes, formatSpread } from './format.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

const COLUMNS: readonly ColumnOf<DecodeRow>[] = [
  { title: 'Model', value: ({ model, layers }) => `${model}, ${layers} layers` },
  {
    title: 'Format',
    value: ({ weights, activations, rotation }) => productName(weights, activations, rotation),
  },
  { title: 'MB', align: 'right', value: ({ bytes }) => formatMegabytes(bytes) },
  {
    title: 'Prefill tokens/s',
    align: 'right',
    value: ({ prefillTokensPerSecond: { median } }) => median.toFixed(0),
  },
  { title: 'Decode tokens/s', align: 'right', value: ({ tokensPerSecond: { median } }) => median.toFixed(1) },
  {
    title: '',
    align: 'right',
    value: ({ tokensPerSecond }) => ({ text: formatSpread(tokensPerSecond), tone: 'muted' }),
  },
  { title: 'vs dense', align: 'right', value: ({ speedup }) => (speedup ? speedupCell(speedup) : '') },
  { title: 'MB/token', align: 'right', value: ({ bytesPerToken }) => formatMegabytes(bytesPerToken) },
  { title: 'Of reading', align: 'right', value: ({ rooflineFraction }) => percent(rooflineFraction) },
  {
    title: 'generate() tokens/s',
    align: 'right',
    value: ({ generatedTokensPerSecond: { median } }) => median.toFixed(1),
  },
];

export function decodeTable({ rows, settings }: DecodeResults): Table {
  const note =
    `${roundsNote(settings.rounds)} One sequence with a prompt of ${rows[0]!.context} tokens; random weights, embedding and ` +
    'head dense. MB/token: parameters, keys and values that a token reads. Of reading: their rate over what reading alone ' +
    'reaches. generate(): the same through the public interface, host included.';
  return tableOf('Prompt and decoding', rows, COLUMNS, note);
}
