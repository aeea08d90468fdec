import { isLossOff } from '../accuracy/check.js';
import type { EvaluatedModel, ModelRow } from '../results/types.js';
import { formatMegabytes, formatSigned, formatSpread } from './format.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

const COLUMNS: readonly ColumnOf<ModelRow>[] = [
  { title: 'Weights', value: ({ weights }) => weights },
  { title: 'Rotation', value: ({ rotation }) => rotation ?? '' },
  { title: 'Activations', value: ({ activations }) => activations ?? '' },
  { title: 'Bits/weight', align: 'right', value: ({ bitsPerWeight }) => bitsPerWeight.toFixed(2) },
  { title: 'MB', align: 'right', value: ({ bytes }) => formatMegabytes(bytes) },
  {
    title: 'Loss',
    align: 'right',
    value: ({ loss, lossError }) => loss.toFixed(4) + (lossError ? ` ± ${lossError.toFixed(4)}` : ''),
  },
  { title: 'Perplexity', align: 'right', value: ({ perplexity }) => perplexity.toFixed(3) },
  { title: 'Δ loss', align: 'right', value: ({ lossIncrease }) => formatSigned(lossIncrease, 4) },
  { title: 'Tokens/s', align: 'right', value: ({ tokensPerSecond }) => tokensPerSecond.median.toFixed(0) },
  {
    title: '',
    align: 'right',
    value: ({ tokensPerSecond }) => ({ text: formatSpread(tokensPerSecond), tone: 'muted' }),
  },
];

/** Beside the loss, what an independent implementation computes. */
const EXPECTED: ColumnOf<ModelRow> = {
  title: 'Expected',
  align: 'right',
  value: (row) =>
    row.expectedLoss === null
      ? ''
      : { text: row.expectedLoss.toFixed(4), tone: isLossOff(row) ? 'bad' : 'good' },
};

export function modelTable({ name, tokens, window }: EvaluatedModel, rows: readonly ModelRow[]): Table {
  const position = COLUMNS.findIndex(({ title }) => title === 'Loss') + 1;
  const hasExpected = rows.some(({ expectedLoss }) => expectedLoss !== null);
  return tableOf(
    `${name}: held-out loss in nats per token`,
    rows,
    hasExpected ? COLUMNS.toSpliced(position, 0, EXPECTED) : COLUMNS,
    `${tokens} tokens in windows of ${window}. Linear layers quantized round-to-nearest, embedding and head as they are. ` +
      'Loss ± standard error: mean over differences as small as float32 rounding, which 4-bit activations amplify. ' +
      'Δ to the unquantized model. Tokens/s: decoding one sequence, median and half the range of 80 % of the rounds.',
  );
}
