import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import { CheckFailed } from '../cli/failure.js';
import { benchmarkPage } from '../docs/page.js';
import { writeText } from '../results/io.js';

interface DocsOptions {
  results: string;
  out: string;
  check?: boolean;
}

export function docsCommand(context: CommandContext): Command {
  return new Command('docs')
    .description('Make the page docs/benchmarks.md and its figures from the results files of the repository.')
    .option('--results <directory>', 'a folder of results files for each machine', 'packages/bench/results')
    .option('--out <directory>', 'where the page goes', 'docs')
    .option('--check', 'write nothing; exit with code 1 if a file is out of date')
    .addHelpText(
      'after',
      `
Run it in the root of the repository.

Examples:
  $ qutlass-bench gemm --device cuda --out packages/bench/results/h200/gemm.json
  $ qutlass-bench docs
  $ qutlass-bench docs --check`,
    )
    .action((options: DocsOptions) => runDocs(context, options));
}

async function runDocs(
  { stdout }: CommandContext,
  { results, out, check = false }: DocsOptions,
): Promise<void> {
  const files = await benchmarkPage(results);
  if (!check) {
    for (const { path, text } of files) {
      const target = join(out, path);
      await mkdir(dirname(target), { recursive: true });
      await writeText(target, text);
      stdout.write(`${target}\n`);
    }
    return;
  }
  const stale: string[] = [];
  for (const { path, text } of files) {
    const present = await readFile(join(out, path), 'utf8').catch(() => undefined);
    if (present !== text) stale.push(path);
  }
  if (stale.length > 0) throw new CheckFailed(`out of date, run qutlass-bench docs: ${stale.join(', ')}`);
}
