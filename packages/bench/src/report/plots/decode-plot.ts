import { decodeRowName } from '../../results/names.js';
import type { DecodeResults, DecodeRow } from '../../results/types.js';
import type { Figure } from '../figure.js';
import { kindOf, renderBars } from './plot.js';

/** Tokens per second of a prompt and of decoding. */
export function decodeFigures({ rows }: DecodeResults): Figure[] {
  const models = new Set(rows.map(({ model }) => model));
  const bar = (row: DecodeRow) => ({
    name: decodeRowName(row),
    kind: kindOf(row.weights),
    ...(models.size > 1 && { panel: row.model }),
  });
  const decode = rows.map((row) => ({
    ...bar(row),
    value: row.tokensPerSecond,
    text: `${row.tokensPerSecond.median.toFixed(0)} (${(100 * row.rooflineFraction).toFixed(0)} %)`,
    mark: row.rooflineTokensPerSecond,
  }));
  const prefill = rows.map((row) => ({
    ...bar(row),
    value: row.prefillTokensPerSecond,
    text: row.prefillTokensPerSecond.median.toFixed(0),
  }));
  const { model, context } = rows[0]!;
  const what = models.size > 1 ? '' : `${model}, random weights. `;
  return [
    {
      id: 'decode',
      title: 'Decoding',
      caption:
        `${what}One sequence after ${context} tokens; the mark, and what the percentage is of, is the roofline: the bytes that a ` +
        'token reads at the bandwidth that only reading reaches in the same run.',
      ...renderBars(decode, 'tokens per second'),
    },
    {
      id: 'prefill',
      title: 'Prefill',
      caption: `${what}A prompt of ${context} tokens.`,
      ...renderBars(prefill, 'tokens of the prompt per second'),
    },
  ];
}
