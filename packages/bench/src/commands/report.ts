import { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import { writeFigures } from '../report/files.js';
import { renderReport } from '../report/report.js';
import { readResults, writeText } from '../results/io.js';
import { DEFAULT_REPORT } from './demo.js';

interface ReportOptions {
  out: string;
  svg?: string;
}

export function reportCommand(context: CommandContext): Command {
  return new Command('report')
    .description('Render a results file as one HTML page that needs nothing else.')
    .argument('<results>', 'results file')
    .option('--out <file>', 'where to write the page', DEFAULT_REPORT)
    .option(
      '--svg <directory>',
      'instead write each figure as SVG, and the tables as Markdown, into a directory',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ qutlass-bench gemm --out gemm.json
  $ qutlass-bench report gemm.json --out gemm.html
  $ qutlass-bench report gemm.json --svg figures`,
    )
    .action((path: string, options: ReportOptions) => runReport(context, path, options));
}

async function runReport(
  { stdout }: CommandContext,
  path: string,
  { out, svg }: ReportOptions,
): Promise<void> {
  const results = await readResults(path);
  if (svg === undefined) {
    await writeText(out, renderReport(results));
    stdout.write(`report: ${out}\n`);
    return;
  }
  for (const file of await writeFigures(svg, results)) stdout.write(`${file}\n`);
}
