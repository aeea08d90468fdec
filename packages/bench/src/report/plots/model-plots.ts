import * as Plot from '@observablehq/plot';
import { modelRowName } from '../../results/names.js';
import type { ModelRow } from '../../results/types.js';
import { exact } from '../../statistics.js';
import type { Figure } from '../figure.js';
import type { Html } from '../html.js';
import { KIND_COLORS } from '../style.js';
import { kindOf, renderBars, renderLegend, renderPlot, renderSymbols } from './plot.js';

const SYMBOLS = {
  'weights only': 'circle',
  'weights only, rotated': 'diamond2',
  'activations too': 'square2',
  'activations too, rotated': 'times',
} as const;

/** Bits per weight that part the two panels: at one scale the 8-bit formats would lie on each other. */
const PANEL_LIMIT = 6;

const kind = ({ weights }: ModelRow) => kindOf(weights);
const isDense = (row: ModelRow) => kind(row) === 'dense';

/** Quality, size and speed of a model in every format. */
export function modelFigures(rows: readonly ModelRow[]): Figure[] {
  return [perplexityFigure(rows), lossFigure(rows), speedFigure(rows)];
}

/** Perplexity against bits per weight, a panel for 4 and one for 8 bits; the unquantized model is a line. */
function perplexityFigure(rows: readonly ModelRow[]): Figure {
  const quantized = rows.filter((row) => !isDense(row));
  const panels = [
    { rows: quantized.filter(({ bitsPerWeight }) => bitsPerWeight < PANEL_LIMIT), width: 620 },
    { rows: quantized.filter(({ bitsPerWeight }) => bitsPerWeight >= PANEL_LIMIT), width: 380 },
  ];
  const plots = panels
    .filter((panel) => panel.rows.length > 0)
    .map((panel) => perplexityPanel(panel.rows, rows.filter(isDense), panel.width));
  return {
    id: 'perplexity',
    title: 'Perplexity and size',
    caption:
      'Down and to the left is better; the dashed line is the unquantized model. Point at a mark for its name.',
    legends: [renderLegend(rows.map(kind)), renderSymbols(SYMBOLS)],
    panels: plots,
  };
}

function perplexityPanel(rows: readonly ModelRow[], dense: readonly ModelRow[], width: number): Html {
  const perplexities = [...rows, ...dense].map(({ perplexity }) => perplexity);
  return renderPlot({
    width,
    height: 420,
    marginTop: 30,
    marginBottom: 45,
    marginLeft: 55,
    x: { label: 'bits per weight, scales included', grid: true, inset: 20, ticks: 5 },
    y: {
      label: 'perplexity',
      grid: true,
      domain: [Math.min(...perplexities), Math.max(...perplexities)],
      inset: 20,
    },
    symbol: { domain: Object.keys(SYMBOLS), range: Object.values(SYMBOLS) },
    marks: [
      Plot.ruleY(dense, { y: 'perplexity', stroke: KIND_COLORS.dense, strokeDasharray: '4 3' }),
      Plot.text(dense, {
        y: 'perplexity',
        text: 'weights',
        frameAnchor: 'right',
        textAnchor: 'end',
        dx: -4,
        dy: 9,
        fill: KIND_COLORS.dense,
      }),
      Plot.dot(rows, {
        x: 'bitsPerWeight',
        y: 'perplexity',
        stroke: kind,
        symbol: treatment,
        r: 5,
        strokeWidth: 1.8,
        title: (row: ModelRow) => `${modelRowName(row)}: ${row.perplexity.toFixed(3)}`,
      }),
    ],
  });
}

/** What each variant adds to the loss. */
function lossFigure(rows: readonly ModelRow[]): Figure {
  const bars = rows
    .filter((row) => !isDense(row))
    .toSorted((a, b) => a.lossIncrease - b.lossIncrease)
    .map((row) => ({
      name: modelRowName(row),
      kind: kind(row),
      value: exact(row.lossIncrease),
      text: row.lossIncrease.toFixed(4),
    }));
  return {
    id: 'loss',
    title: 'Loss',
    caption: 'What each variant adds to the loss of the unquantized model; less is better.',
    ...renderBars(bars, 'loss above the unquantized model, nats per token'),
  };
}

/** Decoding speed. */
function speedFigure(rows: readonly ModelRow[]): Figure {
  const bars = rows.map((row) => ({
    name: modelRowName(row),
    kind: kind(row),
    value: row.tokensPerSecond,
    text: row.tokensPerSecond.median.toFixed(0),
  }));
  return {
    id: 'speed',
    title: 'Speed',
    caption: 'Decoding one sequence; the bar is the median, the line 80 % of the rounds.',
    ...renderBars(bars, 'tokens per second'),
  };
}

function treatment({ rotation, activations }: ModelRow): keyof typeof SYMBOLS {
  const what = activations ? 'activations too' : 'weights only';
  return rotation ? `${what}, rotated` : what;
}
