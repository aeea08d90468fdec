import { parseHTML } from 'linkedom';
import { expect, it } from 'vitest';
import { demoResults, gemmResults, gemmRow, gpu, timedResults } from '../test-support.js';
import { figuresOf } from './figures-of.js';
import { standaloneSvg } from './standalone.js';

const grid = { ...gemmResults([1, 2, 4, 8, 16].map((m) => gemmRow({ m }))), gpu };

it.each([demoResults(), grid, ...Object.values(timedResults)])(
  'figures are SVG files of their own: $suite',
  (results) => {
    for (const figure of figuresOf(results)) {
      const text = standaloneSvg(figure);
      expect(text).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="\d+" height="\d+"/);
      // Colors are literal: not all programs know custom properties, and none knows those of the page.
      expect(text).not.toMatch(/var\(|currentColor/);
      const { document } = parseHTML(text);
      expect(document.querySelector('text')?.textContent).toBe(figure.title);
      expect(document.querySelectorAll('svg svg')).toHaveLength(figure.legends.length + figure.panels.length);
    }
  },
);

it('nothing lies outside of the figure', () => {
  for (const figure of figuresOf(grid)) {
    const { document } = parseHTML(standaloneSvg(figure));
    const root = document.querySelector('svg')!;
    for (const part of root.children) {
      if (part.tagName !== 'g') continue;
      const [, x, y] = /translate\(([\d.]+),([\d.]+)\)/.exec(part.getAttribute('transform')!)!;
      const own = part.querySelector('svg')!;
      expect(Number(x) + Number(own.getAttribute('width'))).toBeLessThanOrEqual(
        Number(root.getAttribute('width')),
      );
      expect(Number(y) + Number(own.getAttribute('height'))).toBeLessThanOrEqual(
        Number(root.getAttribute('height')),
      );
    }
  }
});
