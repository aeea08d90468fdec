import * as Plot from '@observablehq/plot';
import type { QuantizeResults, QuantizeRow } from '../../results/types.js';
import type { Figure } from '../figure.js';
import { kindOf, renderLegend, renderPlot, renderSymbols } from './plot.js';

const SYMBOLS = { 'not rotated': 'circle', rotated: 'diamond2' } as const;

/** Sizes from which on a curve says something. */
const LEAST_SIZES = 3;

/** How the quantizers compare with copying. */
export function quantizeFigures(results: QuantizeResults): Figure[] {
  const sizes = new Set(results.rows.map(({ m, k }) => m * k));
  return [rateFigure(results), ...(sizes.size >= LEAST_SIZES ? [sizeFigure(results)] : [])];
}

/** Those of a matrix that is there before, in its order and to nearest. */
const stored = (rows: readonly QuantizeRow[]) =>
  rows.filter(({ made, training }) => made === null && training === null);

const kind = ({ format }: QuantizeRow) => kindOf(format);
const name = ({ format, globalScale }: QuantizeRow) =>
  globalScale === 'given' ? `${format}, global scale given` : format;

/** Every format on the largest matrix. */
function rateFigure({ rows, limits }: QuantizeResults): Figure {
  const largest = rows.reduce((best, row) => (row.m * row.k > best.m * best.k ? row : best));
  const shown = stored(rows).filter(({ m, k }) => m === largest.m && k === largest.k);
  const names = [...new Set(shown.map(name))];
  const copy = limits.copyBandwidth.median / 1e9;
  const plot = renderPlot({
    height: 70 + 17 * names.length,
    marginTop: 48,
    marginLeft: 235,
    marginRight: 40,
    x: {
      label: 'GB/s, input read and codes written',
      axis: 'top',
      grid: true,
      domain: [0, copy],
      nice: true,
    },
    y: { domain: names, label: null, grid: true },
    symbol: { domain: Object.keys(SYMBOLS), range: Object.values(SYMBOLS) },
    marks: [
      Plot.ruleX([copy], { strokeDasharray: '4 3' }),
      Plot.dot(shown, {
        x: 'gigabytesPerSecond',
        y: name,
        stroke: kind,
        symbol: ({ rotation }: QuantizeRow) => (rotation ? 'rotated' : 'not rotated'),
        r: 4.5,
        strokeWidth: 1.8,
        title: (row: QuantizeRow) => `${name(row)}: ${row.gigabytesPerSecond.toPrecision(3)} GB/s`,
      }),
    ],
  });
  return {
    id: 'rate',
    title: 'Quantizers against copying',
    caption: `A bf16 matrix [${largest.m}, ${largest.k}]; the dashed line is the rate of copying, measured in the same run.`,
    legends: [renderLegend(shown.map(kind)), renderSymbols(SYMBOLS)],
    panels: [plot],
  };
}

/** One format of each kind, by size. */
function sizeFigure({ rows, limits }: QuantizeResults): Figure {
  const plain = stored(rows).filter(
    ({ rotation, globalScale }) => rotation === null && globalScale !== 'given',
  );
  const first = new Map<string, string>();
  for (const row of plain) if (!first.has(kind(row))) first.set(kind(row), row.format);
  const shown = plain.filter((row) => first.get(kind(row)) === row.format);
  const copy = limits.copyBandwidth.median / 1e9;
  const megabytes = ({ m, k }: QuantizeRow) => (2 * m * k) / 1e6;
  const plot = renderPlot({
    height: 360,
    marginTop: 30,
    marginLeft: 55,
    marginBottom: 44,
    marginRight: 30,
    x: { type: 'log', label: 'MB of bf16', grid: true, inset: 12, tickFormat: '~g' },
    y: { label: 'GB/s', grid: true, domain: [0, copy], nice: true },
    marks: [
      Plot.ruleY([copy], { strokeDasharray: '4 3' }),
      Plot.line(shown, {
        x: megabytes,
        y: 'gigabytesPerSecond',
        stroke: kind,
        z: 'format',
        strokeWidth: 1.8,
      }),
      Plot.dot(shown, {
        x: megabytes,
        y: 'gigabytesPerSecond',
        fill: kind,
        r: 3,
        title: (row: QuantizeRow) => `${row.format} [${row.m}, ${row.k}]`,
      }),
    ],
  });
  return {
    id: 'sizes',
    title: 'Quantizers by size',
    caption: `${[...first.values()].join(', ')} without a rotation; the dashed line is the rate of copying a large tensor.`,
    legends: [renderLegend(shown.map(kind))],
    panels: [plot],
  };
}
