import type { AccuracyResults, DemoResults, GemmResults, Results } from '../results/types.js';
import { errorTables } from '../tables/error-table.js';
import { gemmTables } from '../tables/gemm-table.js';
import { modelTable } from '../tables/model-table.js';
import type { Cell, Table } from '../tables/table.js';
import { Html, html } from './html.js';
import { errorPlot } from './plots/error-plot.js';
import { gemmPlot } from './plots/gemm-plot.js';
import { lossPlot, perplexityPlot, speedPlot } from './plots/model-plots.js';
import { STYLE } from './style.js';

const TITLES: Readonly<Record<Results['suite'], string>> = {
  demo: 'What quantizing costs a model',
  accuracy: 'Accuracy of the formats',
  gemm: 'Speed of matrix multiplication',
};

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
${bodyOf(results)}
</body>
</html>
`.text;
}

function bodyOf(results: Results): readonly Html[] {
  switch (results.suite) {
    case 'demo':
      return [...modelSections(results), samplesSection(results)];
    case 'accuracy':
      return [...modelSections(results), ...errorSections(results)];
    case 'gemm':
      return gemmSections(results);
  }
}

function runSection({ machine, node, packages, commit, date }: Results): Html {
  const { cpu, isa, threads, memoryBytes } = machine;
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  const facts = {
    Machine: `${cpu}, ${threads} threads, kernels for ${isa}, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB memory`,
    Software: [`Node ${node}`, ...versions].join(', '),
    Commit: commit ?? 'not known',
    Date: `${date.replace('T', ' ').slice(0, 16)} UTC`,
  };
  return html`<dl>${Object.entries(facts).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

function modelSections({ model, rows }: DemoResults | AccuracyResults): readonly Html[] {
  return [
    chart(
      'Perplexity and size',
      'Down and to the left is better; the dashed line is the unquantized model. Point at a mark for its name.',
      perplexityPlot(rows),
    ),
    chart(
      'Loss',
      'What each variant adds to the loss of the unquantized model; less is better.',
      lossPlot(rows),
    ),
    chart(
      'Speed',
      'Decoding one sequence; the bar is the median, the line 80 % of the rounds.',
      speedPlot(rows),
    ),
    tableSection(modelTable(model, rows)),
  ];
}

function errorSections({ errors, matrix }: AccuracyResults): readonly Html[] {
  const caption =
    `Random matrices ${matrix.join(' x ')}. A dot is the error of a format, an arrow leads to its error after a Hadamard ` +
    'rotation of its own group.';
  return [chart('Quantization error', caption, errorPlot(errors)), ...errorTables(errors).map(tableSection)];
}

function gemmSections(results: GemmResults): readonly Html[] {
  const caption =
    'The kernel that the library chooses, weights not in the cache, activations quantized beforehand. The bar is the median, ' +
    'the line 80 % of the rounds; the dashed line is the dense f32 kernel, timed in the same rounds.';
  return [chart('Speed by shape', caption, gemmPlot(results.rows)), ...gemmTables(results).map(tableSection)];
}

function samplesSection({ samples }: DemoResults): Html {
  if (samples.length === 0) return html``;
  const texts = samples.map(
    ({ weights, prompt, text }) =>
      html`<figure><figcaption>${weights}</figcaption><pre><b>${prompt}</b>${text}</pre></figure>`,
  );
  return html`<section><h2>The same prompt continued, always with the likeliest token</h2>${texts}</section>`;
}

function chart(title: string, caption: string, plot: Html): Html {
  return html`<section><h2>${title}</h2><p class="muted">${caption}</p><div class="chart">${plot}</div></section>`;
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
