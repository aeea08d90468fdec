import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import {
  accuracyResults,
  demoResults,
  gemmResults,
  gemmRow,
  gpu,
  quantizeResults,
  quantizeRow,
  timedResults,
} from '../test-support.js';
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
    ['gemm', timedResults.gemm, 1],
    ['quantize', timedResults.quantize, 1],
    ['layer', timedResults.layer, 1],
    ['experts', timedResults.experts, 1],
    ['decode', timedResults.decode, 2],
    ['host', timedResults.host, 1],
    ['peers-cpu', timedResults['peers-cpu'], 1],
  ])('shows the plots and tables of %s', (_suite, results, plots) => {
    const { document } = parseHTML(renderReport(results));
    const charts = [...document.querySelectorAll('.panels svg')].filter((svg) =>
      svg.querySelector('[aria-label]'),
    );
    expect(charts).toHaveLength(plots);
    expect(document.querySelectorAll('table').length).toBeGreaterThan(0);
    expect(document.body.textContent).toContain('Test CPU');
    expect(document.body.textContent).toContain('@qutlass/bench 1.2.3');
  });

  it('has a grid of numbers for many shapes, and the use of bandwidth on a GPU', () => {
    const rows = [1, 16, 128, 512, 2048].map((m) => gemmRow({ m, speedup: { median: m, p10: m, p90: m } }));
    const { document } = parseHTML(renderReport({ ...gemmResults(rows), gpu }));
    const texts = [...document.querySelectorAll('.panels text')].map(({ textContent }) => textContent);
    expect(texts).toEqual(expect.arrayContaining(['4096 x 4096', 'f32 x nvfp4', '2048.00', '47']));
    expect(document.body.textContent).toContain(
      'Test GPU, 132 multiprocessors, sm_90, 128 GiB memory, CUDA 13.0',
    );
    expect(document.body.textContent).toContain(
      'driver 580.1; before and after the run: clock 1980 and 1755 MHz, memory clock 3201 and 3201 MHz, ' +
        'temperature 38 and 61 °C',
    );
  });

  it('has curves over sizes if quantizers were timed at several', () => {
    const rows = [1, 16, 512].map((m) => quantizeRow({ m }));
    const { document } = parseHTML(renderReport(quantizeResults(rows)));
    expect(document.querySelectorAll('.panels svg [aria-label=line] path')).toHaveLength(1);
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
    expect(document.querySelector('.panels title')?.textContent).toBe('nvfp4: 7.423');
  });
});
