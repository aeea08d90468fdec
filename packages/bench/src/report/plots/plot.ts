import * as Plot from '@observablehq/plot';
import { formatByName } from '@qutlass/quant';
import { parseHTML } from 'linkedom';
import type { Spread } from '../../statistics.js';
import { Html, html } from '../html.js';
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

const newDocument = () => parseHTML('<!doctype html><html><body></body></html>').document;

/** An inline SVG; everything in it takes its colors from the page. The color scale is that of the kinds. */
export function renderPlot(options: Plot.PlotOptions): Html {
  const style = { fontSize: '12px' };
  return new Html(
    Plot.plot({ document: newDocument(), width: 1000, style, color: COLOR, ...options }).outerHTML,
  );
}

/** The colors of the kinds that occur. */
export function renderLegend(kinds: readonly Kind[]): Html {
  const domain = COLOR.domain.filter((kind) => (kinds as readonly string[]).includes(kind));
  const range = domain.map((kind) => KIND_COLORS[kind as Kind]);
  return legend({ color: { ...COLOR, domain, range } });
}

export function renderSymbols(symbols: Readonly<Record<string, Plot.SymbolType>>): Html {
  return legend({ symbol: { type: 'ordinal', domain: Object.keys(symbols), range: Object.values(symbols) } });
}

function legend(scales: Plot.LegendScales): Html {
  const options = { ...scales, document: newDocument() };
  return new Html(Plot.legend(options).outerHTML);
}

export interface Bar {
  readonly name: string;
  readonly kind: Kind;
  readonly value: Spread;
  readonly text: string;
  /** The panel that the bar is in, if there are several. */
  readonly panel?: string;
}

/** Horizontal bars in the given order, each with the range of its spread. */
export function renderBars(bars: readonly Bar[], label: string, reference?: number): Html {
  const names = [...new Set(bars.map(({ name }) => name))];
  const panels = [...new Set(bars.map(({ panel }) => panel))].filter((panel) => panel !== undefined);
  const position = { y: 'name', ...(panels.length > 0 && { fy: 'panel' }) };
  const plot = renderPlot({
    height: 70 + Math.max(panels.length, 1) * (20 + 19 * names.length),
    marginTop: 48,
    marginLeft: 250,
    marginRight: panels.length > 0 ? 130 : 60,
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
        x: ({ value }: Bar) => Math.max(value.p90, 0),
        text: 'text',
        textAnchor: 'start',
        dx: 5,
        // The line of the reference may run through the text.
        stroke: 'var(--ground)',
        strokeWidth: 4,
        fill: 'currentColor',
      }),
      Plot.ruleX([0]),
      ...(reference === undefined ? [] : [Plot.ruleX([reference], { strokeDasharray: '4 3' })]),
    ],
  });
  return html`${renderLegend(bars.map(({ kind }) => kind))}${plot}`;
}
