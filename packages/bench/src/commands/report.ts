import { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import { renderReport } from '../report/report.js';
import { readResults, writeText } from '../results/io.js';
import { DEFAULT_REPORT } from './demo.js';

export function reportCommand(context: CommandContext): Command {
  return new Command('report')
    .description('Render a results file as one HTML page that needs nothing else.')
    .argument('<results>', 'results file')
    .option('--out <file>', 'where to write the page', DEFAULT_REPORT)
    .addHelpText(
      'after',
      `
Examples:
  $ qutlass-bench gemm --out gemm.json
  $ qutlass-bench report gemm.json --out gemm.html`,
    )
    .action(async (path: string, { out }: { out: string }) => {
      await writeText(out, renderReport(await readResults(path)));
      context.stdout.write(`report: ${out}\n`);
    });
}
