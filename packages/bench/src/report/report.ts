import type { DemoResults, Results } from '../results/types.js';
import type { Cell, Table } from '../tables/table.js';
import { tablesOf } from '../tables/tables-of.js';
import { runFacts, TITLES } from './facts.js';
import type { Figure } from './figure.js';
import { figuresOf } from './figures-of.js';
import { Html, html } from './html.js';
import { STYLE } from './style.js';

/** The results as one HTML page that needs nothing else. */
export function renderReport(results: Results): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>qutlass: ${TITLES[results.suite]}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<h1>${TITLES[results.suite]}</h1>
${runSection(results)}
${figuresOf(results).map(figureSection)}
${tablesOf(results).map(tableSection)}
${results.suite === 'demo' ? samplesSection(results) : html``}
</body>
</html>
`.text;
}

function runSection(results: Results): Html {
  const facts = Object.entries(runFacts(results));
  return html`<dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

function figureSection({ title, caption, legends, panels }: Figure): Html {
  return html`<section><h2>${title}</h2><p class="muted">${caption}</p>
<div class="legend">${legends}</div><div class="panels">${panels}</div></section>`;
}

function samplesSection({ samples }: DemoResults): Html {
  if (samples.length === 0) return html``;
  const texts = samples.map(
    ({ weights, prompt, text }) =>
      html`<figure><figcaption>${weights}</figcaption><pre><b>${prompt}</b>${text}</pre></figure>`,
  );
  return html`<section><h2>The same prompt continued, always with the likeliest token</h2>${texts}</section>`;
}

function tableSection({ title, columns, rows, note }: Table): Html {
  const classOf = (index: number, tone?: Cell['tone']) =>
    [columns[index]?.align === 'right' ? 'right' : '', tone ?? ''].filter(Boolean).join(' ');
  const head = columns.map((column, index) => html`<th class="${classOf(index)}">${column.title}</th>`);
  const body = rows.map((row) => {
    const cells = row.map(({ text, tone }, index) => html`<td class="${classOf(index, tone)}">${text}</td>`);
    return html`<tr>${cells}</tr>`;
  });
  return html`<section><h2>${title}</h2>
<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>
${body}
</tbody></table></div>
${note === undefined ? html`` : html`<p class="note">${note}</p>`}</section>`;
}
