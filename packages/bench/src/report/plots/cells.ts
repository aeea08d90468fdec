import * as Plot from '@observablehq/plot';
import type { Html } from '../html.js';
import { renderPlot } from './plot.js';

/** A number of a grid: rows by columns, in groups of columns. */
export interface Cell {
  readonly group: string;
  readonly column: string;
  readonly row: string;
  /** As CSS has it. */
  readonly color: string;
  readonly text: string;
  /** Shown where the reader points. */
  readonly title: string;
}

/** Columns of a panel: more would leave no room for the numbers. */
const MOST_COLUMNS = 22;

const ROW_HEIGHT = 19;

/** Grids of numbers, as many as it takes; `label` names the columns. */
export function renderCells(cells: readonly Cell[], label: string): Html[] {
  const columns = distinct(cells.map(({ column }) => column));
  const groups = distinct(cells.map(({ group }) => group));
  const perPanel = Math.max(1, Math.floor(MOST_COLUMNS / columns.length));
  const panels: Html[] = [];
  for (let first = 0; first < groups.length; first += perPanel) {
    const shown = groups.slice(first, first + perPanel);
    panels.push(
      renderPanel(
        cells.filter(({ group }) => shown.includes(group)),
        { columns, groups: shown, perPanel: Math.min(perPanel, groups.length), label },
      ),
    );
  }
  return panels;
}

interface Layout {
  readonly columns: readonly string[];
  readonly groups: readonly string[];
  /** Groups that a full panel has; cells are equally wide in all panels. */
  readonly perPanel: number;
  readonly label: string;
}

function renderPanel(cells: readonly Cell[], { columns, groups, perPanel, label }: Layout): Html {
  const rows = distinct(cells.map(({ row }) => row));
  const margins = { left: 200, right: 20 };
  const groupWidth = Math.min(
    Math.floor((1000 - margins.left - margins.right) / perPanel),
    60 * columns.length,
  );
  const position = { fx: 'group', x: 'column', y: 'row' };
  return renderPlot({
    width: margins.left + margins.right + groupWidth * groups.length,
    height: 64 + ROW_HEIGHT * rows.length,
    marginTop: 30,
    marginBottom: 34,
    marginLeft: margins.left,
    marginRight: margins.right,
    x: { domain: columns, label: null, axis: 'top', tickSize: 0, padding: 0.04 },
    y: { domain: rows, label: null, tickSize: 0, padding: 0.06 },
    fx: { domain: groups, label: null, axis: 'bottom', padding: 0.06, tickSize: 0 },
    color: { type: 'identity' },
    marks: [
      Plot.cell(cells, { ...position, fill: 'color', rx: 2, title: 'title' }),
      Plot.text(cells, { ...position, text: 'text', fill: INK, fontSize: 11, pointerEvents: 'none' }),
      Plot.text([label], {
        fx: () => groups[0],
        text: [label],
        frameAnchor: 'top-left',
        textAnchor: 'end',
        dx: -7,
        dy: -16,
        fill: 'var(--muted)',
      }),
    ],
  });
}

// The numbers are dark on light cells in the light and in the dark.
const INK = '#1f2328';
const NEUTRAL = [240, 240, 238] as const;
const FASTER = [86, 164, 219] as const;
const SLOWER = [240, 150, 80] as const;

/** Speedups of this and more, and of its inverse and less, have the full color. */
const FULL_COLOR = 4;

/** Blue above 1, orange below. */
export function speedupColor(speedup: number): string {
  const share = Math.log(speedup) / Math.log(FULL_COLOR);
  return mix(share > 0 ? FASTER : SLOWER, Math.abs(share));
}

/** The bluer, the nearer to 1. */
export function fractionColor(fraction: number): string {
  return mix(FASTER, fraction);
}

function mix(target: readonly number[], share: number): string {
  const amount = Math.min(share, 1);
  const channels = NEUTRAL.map((value, index) => Math.round(value + amount * (target[index]! - value)));
  return `rgb(${channels.join(',')})`;
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)];
}
