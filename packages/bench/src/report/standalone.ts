import type { Figure } from './figure.js';
import { type Html, html } from './html.js';
import { WIDTH } from './plots/plot.js';
import { LIGHT_COLORS } from './style.js';

const MARGIN = 12;
const TITLE_HEIGHT = 34;

/** A part and where it is. */
interface Placed {
  readonly part: Html;
  readonly x: number;
  readonly y: number;
}

/** A figure as an SVG file of its own, with its title and legends, on white ground: readers of documents may be dark. */
export function standaloneSvg({ title, legends, panels }: Figure): string {
  const top = TITLE_HEIGHT;
  const legendRows = flow(legends, top);
  const panelRows = flow(panels, legendRows.bottom);
  const width = WIDTH + 2 * MARGIN;
  const height = panelRows.bottom + MARGIN;
  const parts = [...legendRows.placed, ...panelRows.placed].map(
    ({ part, x, y }) => html`<g transform="translate(${x},${y})">${part}</g>`,
  );
  const { text } =
    html`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif">
<rect width="${width}" height="${height}" fill="var(--ground)"/>
<text x="${MARGIN}" y="${TITLE_HEIGHT - 12}" font-size="16" font-weight="600" fill="var(--text)">${title}</text>
${parts}
</svg>
`;
  return resolveColors(text);
}

/** Parts from left to right, in as many rows as they need. */
function flow(parts: readonly Html[], top: number): { placed: Placed[]; bottom: number } {
  const placed: Placed[] = [];
  let [x, y, rowHeight] = [0, top, 0];
  for (const part of parts) {
    const [width, height] = [sizeOf(part, 'width'), sizeOf(part, 'height')];
    if (x > 0 && x + width > WIDTH) [x, y, rowHeight] = [0, y + rowHeight, 0];
    placed.push({ part, x: x + MARGIN, y });
    x += width;
    rowHeight = Math.max(rowHeight, height);
  }
  return { placed, bottom: y + rowHeight };
}

function sizeOf({ text }: Html, side: 'width' | 'height'): number {
  return Number(new RegExp(`^<svg[^>]* ${side}="([\\d.]+)"`).exec(text)?.[1] ?? 0);
}

/** Colors of the page as literals: programs that show SVG files do not all know custom properties. */
function resolveColors(text: string): string {
  return text
    .replaceAll(/var\(--([\w-]+)\)/g, (whole, name: string) =>
      name === 'plot-background' ? LIGHT_COLORS.ground! : (LIGHT_COLORS[name] ?? whole),
    )
    .replaceAll('currentColor', LIGHT_COLORS.text!);
}
