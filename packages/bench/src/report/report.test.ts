import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { accuracyResults, demoResults, gemmResults } from '../test-support.js';
import { html } from './html.js';
import { renderReport } from './report.js';

describe('html', () => {
  it('escapes values but not markup', () => {
    expect(html`<b title="${'"'}">${'<&>'} ${1}</b>${[html`<i></i>`]}`.text).toBe(
      '<b title="&quot;">&lt;&amp;&gt; 1</b><i></i>',
    );
  });
});

describe('renderReport', () => {
  it.each([
    ['demo', demoResults(), 3],
    ['accuracy', accuracyResults(), 4],
    ['gemm', gemmResults(), 1],
  ])('shows the plots and tables of %s', (_suite, results, plots) => {
    const { document } = parseHTML(renderReport(results));
    const charts = [...document.querySelectorAll('.chart svg')].filter((svg) =>
      svg.querySelector('[aria-label]'),
    );
    expect(charts).toHaveLength(plots);
    expect(document.querySelectorAll('table').length).toBeGreaterThan(0);
    expect(document.body.textContent).toContain('Test CPU');
    expect(document.body.textContent).toContain('@qutlass/bench 1.2.3');
  });

  it('needs no other file', () => {
    const page = renderReport(demoResults());
    expect(page).not.toMatch(/<(script|link|img|iframe)\b|@import|\bsrc=|url\(/);
  });

  it('escapes the texts of the model', () => {
    const { document } = parseHTML(renderReport(demoResults()));
    expect(document.querySelector('pre')?.textContent).toBe('if a < b && "c":');
  });

  it('names every mark of the plots', () => {
    const { document } = parseHTML(renderReport(demoResults()));
    expect(document.querySelector('.chart title')?.textContent).toBe('nvfp4: 7.423');
  });
});
