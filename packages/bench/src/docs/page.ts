import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidArgument } from '@qutlass/core-kernels';
import { runFacts, TITLES } from '../report/facts.js';
import { figuresOf } from '../report/figures-of.js';
import { standaloneSvg } from '../report/standalone.js';
import { readResults } from '../results/io.js';
import type { Results } from '../results/types.js';
import { renderMarkdown } from '../tables/render-markdown.js';
import { tablesOf } from '../tables/tables-of.js';

/** A file of the documentation, its path relative to the folder of the documents. */
export interface DocumentFile {
  readonly path: string;
  readonly text: string;
}

/** Where the figures go, below the folder of the documents. */
const FIGURES = 'benchmarks';

/** Tables of more rows are folded away. */
const LONG_TABLES = 12;

const INTRODUCTION = `# Benchmarks

This page is made by \`qutlass-bench docs\` from the results files in \`packages/bench/results\`; every number on it is in
one of them, with the commit that it was measured at, where that was recorded.

How times are taken: the baseline and everything that is compared with it run in turn, round after round, each round in
another random order, on random data; a number is the median of the rounds, and a speedup is the median of the speedups
within the rounds. On a GPU, calls are captured into one graph over copies of the weights that exceed the last cache
together, the graph is launched twice back to back, and events around the second launch tell its time. What the memory of
the device does at most is measured in the same run. Absolute times move with the machine, its clocks and its temperature:
compare ratios.
`;

/** A results file of a machine. */
interface Entry {
  readonly machine: string;
  readonly name: string;
  readonly results: Results;
}

/** The page `benchmarks.md` and its figures, from a folder with a folder of results files for each machine. */
export async function benchmarkPage(resultsFolder: string): Promise<DocumentFile[]> {
  const machines = (await list(resultsFolder)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const figures: DocumentFile[] = [];
  const sections: string[] = [];
  for (const machine of machines) {
    const files = (await list(join(resultsFolder, machine))).filter(({ name }) => name.endsWith('.json'));
    const entries: Entry[] = [];
    for (const { name } of files) {
      const results = await readResults(join(resultsFolder, machine, name));
      entries.push({ machine, name: name.replace(/\.json$/, ''), results });
    }
    if (entries.length === 0) continue;
    const { gpu, machine: host } = entries[0]!.results;
    sections.push(`## ${gpu?.name ?? host.cpu}\n`);
    for (const entry of entries) {
      const own = figuresOf(entry.results).map((figure) => ({
        figure,
        path: `${FIGURES}/${machine}-${entry.name}-${figure.id}.svg`,
      }));
      figures.push(...own.map(({ figure, path }) => ({ path, text: standaloneSvg(figure) })));
      sections.push(`### ${TITLES[entry.results.suite]}\n`, factsText(entry.results));
      for (const { figure, path } of own) {
        sections.push(`${figure.caption}\n`, `![${figure.title}](${path})\n`);
      }
      sections.push(...tablesText(entry.results));
    }
  }
  return [{ path: 'benchmarks.md', text: [INTRODUCTION, ...sections].join('\n') }, ...figures];
}

/** Machine, software and date as a line. */
function factsText(results: Results): string {
  const { Machine: host, GPU: gpu, State: state, Commit: commit, Date: date } = runFacts(results);
  const facts = [gpu ?? host, state, results.commit === null ? '' : `commit ${commit?.slice(0, 12)}`, date];
  return `${facts.filter(Boolean).join('; ')}.\n`;
}

/** The tables, the long ones folded away together. */
function tablesText(results: Results): string[] {
  const tables = tablesOf(results);
  const rows = tables.reduce((sum, table) => sum + table.rows.length, 0);
  const text = tables.map(renderMarkdown).join('\n');
  if (rows <= LONG_TABLES) return [text];
  return [`<details>\n<summary>All numbers</summary>\n\n${text}\n</details>\n`];
}

async function list(folder: string) {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument('QUTLASS_E_ARGUMENT', folder, 'a readable folder', error.code ?? error.message);
  });
  return entries.toSorted((x, y) => (x.name < y.name ? -1 : 1));
}
