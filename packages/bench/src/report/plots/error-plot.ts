import * as Plot from '@observablehq/plot';
import type { AccuracyResults, ErrorRow } from '../../results/types.js';
import type { Figure } from '../figure.js';
import { kindOf, renderLegend, renderPlot } from './plot.js';

/** Arrows from the error without rotation to the one with it, by distribution. */
export function errorFigure({ errors: rows, matrix }: AccuracyResults): Figure {
  const distributions = [...new Set(rows.map(({ distribution }) => distribution))];
  const plain = rows.filter(({ rotation }) => rotation === null);
  const has = (distribution: string, format: string) =>
    plain.some((row) => row.distribution === distribution && row.format === format);
  // Formats that every distribution has, so that the panels compare.
  const shown = plain.filter(({ format }) =>
    distributions.every((distribution) => has(distribution, format)),
  );
  const formats = [...new Set(shown.map(({ format }) => format))];
  const arrows = shown.flatMap((from) => {
    const to = rows.find(
      ({ rotation, format, distribution }) =>
        rotation !== null && format === from.format && distribution === from.distribution,
    );
    return to ? [{ ...from, to: to.relativeSquaredError }] : [];
  });
  const kind = ({ format }: ErrorRow) => kindOf(format);
  const position = { y: 'format', fy: 'distribution' } as const;
  const plot = renderPlot({
    height: 70 + distributions.length * (20 + 19 * formats.length),
    marginTop: 48,
    marginLeft: 120,
    marginRight: 250,
    x: {
      type: 'log',
      label: 'relative squared error',
      axis: 'top',
      grid: true,
      inset: 8,
      ticks: 6,
      tickFormat: '.0e',
    },
    y: { domain: formats, label: null, grid: true },
    fy: { domain: distributions, label: null },
    marks: [
      Plot.frame({ stroke: 'var(--line)' }),
      Plot.arrow(arrows, {
        ...position,
        x1: 'relativeSquaredError',
        x2: 'to',
        y1: 'format',
        y2: 'format',
        stroke: kind,
        strokeWidth: 1.8,
        headLength: 7,
      }),
      Plot.dot(shown, {
        ...position,
        x: 'relativeSquaredError',
        fill: kind,
        r: 4,
        title: ({ format, relativeSquaredError }: ErrorRow) =>
          `${format}: ${relativeSquaredError.toExponential(3)}`,
      }),
    ],
  });
  return {
    id: 'error',
    title: 'Quantization error',
    caption:
      `Random matrices ${matrix.join(' x ')}. A dot is the error of a format, an arrow leads to its error after a Hadamard ` +
      'rotation of its own group.',
    legends: [renderLegend(shown.map(kind))],
    panels: [plot],
  };
}
