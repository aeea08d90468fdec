import * as Plot from '@observablehq/plot';
import { formatByName } from '@qutlass/quant';
import { parseHTML } from 'linkedom';
import { modelRowName } from '../results/names.js';
import type { ErrorRow, GemmRow, ModelRow } from '../results/schema.js';
import { Html } from './html.js';
import { KIND_COLORS } from './style.js';

type Kind = keyof typeof KIND_COLORS;

const WIDTH = 1000;
const FONT = { fontSize: '12px' };
const DTYPES: readonly string[] = ['f32', 'bf16', 'f16'];

const COLOR = {
  type: 'ordinal',
  domain: Object.keys(KIND_COLORS),
  range: Object.values(KIND_COLORS),
} as const;

export function kindOf(weights: string): Kind {
  return DTYPES.includes(weights) ? 'dense' : formatByName(weights).kind;
}

function render(options: Plot.PlotOptions): Html {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  return new Html(Plot.plot({ document, width: WIDTH, style: FONT, ...options }).outerHTML);
}

const SYMBOLS = {
  'weights only': 'circle',
  'weights only, rotated': 'diamond2',
  'activations too': 'square2',
  'activations too, rotated': 'times',
} as const;

function treatment({ rotation, activations }: ModelRow): keyof typeof SYMBOLS {
  const what = activations ? 'activations too' : 'weights only';
  return rotation ? `${what}, rotated` : what;
}

/** Perplexity against bits per weight; the unquantized model is the line below. */
export function perplexityPlot(rows: readonly ModelRow[]): Html {
  const quantized = rows.filter(({ weights }) => kindOf(weights) !== 'dense');
  const dense = rows.find(({ weights }) => kindOf(weights) === 'dense');
  // The best of each kind by name; a name for every dot would cover the dots.
  const best = [...new Set(quantized.map(({ weights }) => kindOf(weights)))].map((kind) =>
    quantized
      .filter((row) => kindOf(row.weights) === kind)
      .toSorted((x, y) => x.perplexity - y.perplexity)
      .at(0),
  );
  const x = (row: ModelRow) => row.bitsPerWeight;
  const y = (row: ModelRow) => row.perplexity;
  return render({
    height: 460,
    marginLeft: 55,
    marginRight: 70,
    marginBottom: 45,
    x: { label: 'bits per weight, scales included', grid: true, nice: true },
    y: { label: 'perplexity', grid: true, nice: true },
    color: { ...COLOR, legend: true },
    symbol: { domain: Object.keys(SYMBOLS), range: Object.values(SYMBOLS), legend: true },
    marks: [
      ...(dense
        ? [
            Plot.ruleY([dense], { y, stroke: KIND_COLORS.dense, strokeDasharray: '4 3' }),
            Plot.text([dense], {
              y,
              text: ({ weights, perplexity }: ModelRow) => `${weights}: ${perplexity.toFixed(3)}`,
              frameAnchor: 'right',
              textAnchor: 'end',
              dy: 10,
              fill: KIND_COLORS.dense,
            }),
          ]
        : []),
      Plot.dot(quantized, {
        x,
        y,
        stroke: (row: ModelRow) => kindOf(row.weights),
        symbol: treatment,
        r: 5,
        strokeWidth: 1.8,
        title: (row: ModelRow) => `${modelRowName(row)}: ${row.perplexity.toFixed(3)}`,
      }),
      Plot.text(best, {
        x,
        y,
        text: modelRowName,
        fill: (row: ModelRow) => kindOf(row.weights),
        textAnchor: 'start',
        dx: 9,
        dy: 4,
        stroke: 'var(--ground)',
        strokeWidth: 4,
      }),
    ],
  });
}

/** What each variant adds to the loss. */
export function lossPlot(rows: readonly ModelRow[]): Html {
  const quantized = rows
    .filter(({ weights }) => kindOf(weights) !== 'dense')
    .toSorted((a, b) => a.lossIncrease - b.lossIncrease);
  const y = modelRowName;
  return render({
    height: 60 + 20 * quantized.length,
    marginLeft: 260,
    marginRight: 60,
    x: { label: 'loss above the unquantized model, nats per token', axis: 'top', grid: true, nice: true },
    y: { domain: quantized.map(y), label: null },
    color: { ...COLOR, legend: true },
    marks: [
      Plot.barX(quantized, {
        x: 'lossIncrease',
        y,
        fill: (row: ModelRow) => kindOf(row.weights),
        insetTop: 3,
        insetBottom: 3,
      }),
      Plot.text(quantized, {
        x: (row: ModelRow) => Math.max(row.lossIncrease, 0),
        y,
        text: ({ lossIncrease }: ModelRow) => lossIncrease.toFixed(4),
        textAnchor: 'start',
        dx: 5,
      }),
      Plot.ruleX([0]),
    ],
  });
}

/** Decoding speed, with the range of 80 % of the rounds. */
export function speedPlot(rows: readonly ModelRow[]): Html {
  const shown = rows.filter(({ rotation }) => rotation === null);
  const y = modelRowName;
  return render({
    height: 60 + 20 * shown.length,
    marginLeft: 260,
    marginRight: 60,
    x: { label: 'tokens per second', axis: 'top', grid: true, nice: true },
    y: { domain: shown.map(y), label: null },
    color: { ...COLOR, legend: true },
    marks: [
      Plot.barX(shown, {
        x: ({ tokensPerSecond }: ModelRow) => tokensPerSecond.median,
        y,
        fill: (row: ModelRow) => kindOf(row.weights),
        insetTop: 3,
        insetBottom: 3,
      }),
      Plot.ruleY(shown, {
        x1: ({ tokensPerSecond }: ModelRow) => tokensPerSecond.p10,
        x2: ({ tokensPerSecond }: ModelRow) => tokensPerSecond.p90,
        y,
        strokeWidth: 1.5,
      }),
      Plot.text(shown, {
        x: ({ tokensPerSecond }: ModelRow) => tokensPerSecond.p90,
        y,
        text: ({ tokensPerSecond }: ModelRow) => tokensPerSecond.median.toFixed(0),
        textAnchor: 'start',
        dx: 5,
      }),
      Plot.ruleX([0]),
    ],
  });
}

/** Arrows from the error without rotation to the one with it, by distribution. */
export function errorPlot(rows: readonly ErrorRow[]): Html {
  const plain = rows.filter(({ rotation }) => rotation === null);
  const distributions = [...new Set(rows.map(({ distribution }) => distribution))];
  // Formats that every distribution has, so that the panels compare.
  const shown = plain.filter(({ format }) =>
    distributions.every((name) => plain.some((row) => row.distribution === name && row.format === format)),
  );
  const arrows = shown.flatMap((from) => {
    const to = rows.find(
      (row) => row.rotation !== null && row.format === from.format && row.distribution === from.distribution,
    );
    return to ? [{ ...from, to: to.relativeSquaredError }] : [];
  });
  const fill = ({ format }: ErrorRow) => kindOf(format);
  const channels = { y: 'format', fy: 'distribution' } as const;
  return render({
    height: 90 + distributions.length * (30 + 18 * new Set(shown.map(({ format }) => format)).size),
    marginLeft: 120,
    marginRight: 230,
    x: { type: 'log', label: 'relative squared error', axis: 'top', grid: true, tickFormat: 'e', ticks: 5 },
    y: { label: null, domain: [...new Set(shown.map(({ format }) => format))] },
    fy: { label: null, domain: distributions },
    color: { ...COLOR, legend: true },
    marks: [
      Plot.frame({ stroke: 'var(--line)' }),
      Plot.link(arrows, {
        ...channels,
        x1: 'relativeSquaredError',
        x2: 'to',
        stroke: fill,
        strokeWidth: 1.5,
        markerEnd: 'arrow',
      }),
      Plot.dot(shown, {
        ...channels,
        x: 'relativeSquaredError',
        fill,
        r: 4,
        title: ({ format, relativeSquaredError }: ErrorRow) =>
          `${format}: ${relativeSquaredError.toExponential(3)}`,
      }),
    ],
  });
}

/** Speed against the dense f32 kernel, cold, by shape. */
export function gemmPlot(rows: readonly GemmRow[]): Html {
  const shown = rows.filter(({ cache, chosen }) => cache === 'cold' && chosen);
  const name = ({ a, weight }: GemmRow) => `${a} x ${weight}`;
  const shape = ({ m, n, k }: GemmRow) => `${m} x ${n} x ${k}`;
  const y = { y: name, fy: shape };
  const names = [...new Set(shown.map(name))];
  const shapes = [...new Set(shown.map(shape))];
  return render({
    height: 70 + shapes.length * (30 + 18 * names.length),
    marginLeft: 160,
    marginRight: 120,
    x: { label: 'speed relative to the dense f32 kernel', axis: 'top', grid: true, nice: true },
    y: { domain: names, label: null },
    fy: { domain: shapes, label: null },
    color: { ...COLOR, legend: true },
    marks: [
      Plot.barX(shown, {
        ...y,
        x: ({ speedup }: GemmRow) => speedup.median,
        fill: ({ weight }: GemmRow) => kindOf(weight),
        insetTop: 2,
        insetBottom: 2,
      }),
      Plot.ruleY(shown, {
        ...y,
        x1: ({ speedup }: GemmRow) => speedup.p10,
        x2: ({ speedup }: GemmRow) => speedup.p90,
        strokeWidth: 1.5,
      }),
      Plot.text(shown, {
        ...y,
        x: ({ speedup }: GemmRow) => speedup.p90,
        text: ({ speedup }: GemmRow) => speedup.median.toFixed(2),
        textAnchor: 'start',
        dx: 5,
      }),
      Plot.ruleX([1], { strokeDasharray: '4 3' }),
      Plot.ruleX([0]),
    ],
  });
}
