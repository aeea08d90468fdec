import { Command } from 'commander';
import { type CommandContext, printTables } from '../cli/context.js';
import { compareResults } from '../compare.js';
import { readResults } from '../results/io.js';
import { compareTable } from '../tables/compare-table.js';

interface CompareOptions {
  all?: boolean;
  json?: boolean;
}

export function compareCommand(context: CommandContext): Command {
  return new Command('compare')
    .description('What moved beyond the noise between two results files of one suite.')
    .argument('<before>', 'results file')
    .argument('<after>', 'results file')
    .option('--all', 'also list what stayed within the noise')
    .option('--json', 'print the comparison as JSON on stdout')
    .addHelpText(
      'after',
      `
A quantity moved if the ranges from its 10th to its 90th percentile do not overlap.

Examples:
  $ qutlass-bench gemm --out after.json
  $ qutlass-bench compare before.json after.json`,
    )
    .action((before: string, after: string, options: CompareOptions) =>
      runCompare(context, before, after, options),
    );
}

async function runCompare(
  context: CommandContext,
  before: string,
  after: string,
  { all = false, json = false }: CompareOptions,
): Promise<void> {
  const report = compareResults(await readResults(before), await readResults(after));
  if (json) {
    context.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  for (const warning of report.warnings) context.stderr.write(`warning: different machines: ${warning}\n`);
  printTables(context, [compareTable(report, all)]);
  for (const name of report.removed) context.stdout.write(`only before: ${name}\n`);
  for (const name of report.added) context.stdout.write(`only after: ${name}\n`);
}
