import { decodeRowName } from '../results/names.js';
import type { DecodeResults, DecodeRow } from '../results/types.js';
import { percent, roundsNote, speedupCell } from './columns.js';
import { formatMegabytes, formatSeconds, formatSpread } from './format.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

type BytesOf = 'headBytes' | 'cacheBytes';
const megabytesOf =
  (part: BytesOf) =>
  ({ step }: DecodeRow): string =>
    step ? formatMegabytes(step[part]) : '';

const COLUMNS: readonly ColumnOf<DecodeRow>[] = [
  { title: 'Model', value: ({ model, layers }) => `${model}, ${layers} layers` },
  {
    title: 'Format',
    value: (row) => decodeRowName(row),
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
  { title: 'head', align: 'right', value: megabytesOf('headBytes') },
  { title: 'cache', align: 'right', value: megabytesOf('cacheBytes') },
  { title: 'Of reading', align: 'right', value: ({ rooflineFraction }) => percent(rooflineFraction) },
  { title: 'Operations', align: 'right', value: ({ step }) => (step ? `${step.operations}` : '') },
  {
    title: 'Rest each',
    align: 'right',
    value: ({ step }) => (step ? formatSeconds(step.restSeconds / step.operations) : ''),
  },
  {
    title: 'generate() tokens/s',
    align: 'right',
    value: ({ generatedTokensPerSecond: { median } }) => median.toFixed(1),
  },
];

export function decodeTable({ rows, settings }: DecodeResults): Table {
  const note =
    `${roundsNote(settings.rounds)} One sequence with a prompt of ${rows[0]!.context} tokens; random weights, a dense ` +
    'embedding. MB/token: parameters, keys and values that a token reads; of these, head and cache. Of reading: their rate over ' +
    'what reading alone reaches. Rest each: the time beyond that, by operation of a step. generate(): the same through the ' +
    'public interface, host included.';
  return tableOf('Prompt and decoding', rows, COLUMNS, note);
}
