import * as Plot from '@observablehq/plot';
import { formatByName } from '@qutlass/quant';
import { parseHTML } from 'linkedom';
import type { Spread } from '../../statistics.js';
import type { Figure } from '../figure.js';
import { Html } from '../html.js';
import { KIND_COLORS } from '../style.js';

export type Kind = keyof typeof KIND_COLORS;

const DTYPES: readonly string[] = ['f32', 'bf16', 'f16'];

/** What a format, or the dtype of dense values, is colored as. */
export function kindOf(name: string): Kind {
  return DTYPES.includes(name) ? 'dense' : formatByName(name).kind;
}

const COLOR = {
  type: 'ordinal',
  domain: Object.keys(KIND_COLORS),
  range: Object.values(KIND_COLORS),
} as const;

/** Pixels of a figure. */
export const WIDTH = 1000;

const newDocument = () => parseHTML('<!doctype html><html><body></body></html>').document;

/** An inline SVG; everything in it takes its colors from the page. The color scale is that of the kinds. */
export function renderPlot(options: Plot.PlotOptions): Html {
  const style = { fontSize: '12px' };
  return new Html(
    Plot.plot({ document: newDocument(), width: WIDTH, style, color: COLOR, ...options }).outerHTML,
  );
}

/** The colors of the kinds that occur. */
export function renderLegend(kinds: readonly Kind[]): Html {
  const shown = (Object.keys(KIND_COLORS) as Kind[]).filter((kind) => kinds.includes(kind));
  return legend(shown.map((name) => ({ name, symbol: 'square', fill: KIND_COLORS[name] })));
}

export function renderSymbols(symbols: Readonly<Record<string, Plot.SymbolType>>): Html {
  return legend(Object.entries(symbols).map(([name, symbol]) => ({ name, symbol, fill: 'none' })));
}

interface LegendItem {
  readonly name: string;
  readonly symbol: Plot.SymbolType;
  readonly fill: string;
}

/** Pixels of a letter, about, and of a symbol with its margins. */
const LETTER = 6.8;
const SYMBOL = 36;

function legend(items: readonly LegendItem[]): Html {
  let x = 10;
  const placed = items.map((item) => {
    const place = { ...item, x };
    x += SYMBOL + LETTER * item.name.length;
    return place;
  });
  return renderPlot({
    width: Math.max(Math.ceil(x), 60),
    height: 26,
    margin: 0,
    x: { type: 'identity', axis: null },
    y: { axis: null },
    color: { type: 'identity' },
    symbol: { type: 'identity' },
    marks: [
      Plot.dot(placed, {
        x: 'x',
        symbol: 'symbol',
        fill: 'fill',
        stroke: (item: LegendItem) => (item.fill === 'none' ? 'var(--text)' : item.fill),
        r: 5,
      }),
      Plot.text(placed, { x: 'x', text: 'name', textAnchor: 'start', dx: 11, fill: 'var(--text)' }),
    ],
  });
}

export interface Bar {
  readonly name: string;
  readonly kind: Kind;
  readonly value: Spread;
  readonly text: string;
  /** The panel that the bar is in, if there are several. */
  readonly panel?: string;
  /** A mark of its own: what the bar could reach. */
  readonly mark?: number;
}

/** Horizontal bars in the given order, each with the range of its spread; with a legend of their kinds. */
export function renderBars(
  bars: readonly Bar[],
  label: string,
  reference?: number,
): Pick<Figure, 'legends' | 'panels'> {
  const names = [...new Set(bars.map(({ name }) => name))];
  const panels = [...new Set(bars.map(({ panel }) => panel))].filter((panel) => panel !== undefined);
  const position = { y: 'name', ...(panels.length > 0 && { fy: 'panel' }) };
  const plot = renderPlot({
    height: 70 + Math.max(panels.length, 1) * (20 + 19 * names.length),
    marginTop: 48,
    marginLeft: 250,
    marginRight: panels.length > 0 ? 130 : 90,
    x: { label, axis: 'top', grid: true, nice: true },
    y: { domain: names, label: null },
    ...(panels.length > 0 && { fy: { domain: panels, label: null } }),
    marks: [
      Plot.barX(bars, {
        ...position,
        x: ({ value }: Bar) => value.median,
        fill: 'kind',
        insetTop: 3,
        insetBottom: 3,
      }),
      Plot.ruleY(bars, {
        ...position,
        x1: ({ value }: Bar) => value.p10,
        x2: ({ value }: Bar) => value.p90,
        strokeWidth: 1.5,
      }),
      Plot.text(bars, {
        ...position,
        x: ({ value, mark = 0 }: Bar) => Math.max(value.p90, mark, 0),
        text: 'text',
        textAnchor: 'start',
        dx: 5,
        // The line of the reference may run through the text.
        stroke: 'var(--ground)',
        strokeWidth: 4,
        fill: 'currentColor',
      }),
      Plot.tickX(
        bars.filter(({ mark }) => mark !== undefined),
        { ...position, x: 'mark', strokeWidth: 2.5, insetTop: 1, insetBottom: 1 },
      ),
      Plot.ruleX([0]),
      ...(reference === undefined ? [] : [Plot.ruleX([reference], { strokeDasharray: '4 3' })]),
    ],
  });
  return { legends: [renderLegend(bars.map(({ kind }) => kind))], panels: [plot] };
}
