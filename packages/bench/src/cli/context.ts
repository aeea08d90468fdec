import { createProgress, type Progress } from '../progress.js';
import { renderReport } from '../report/report.js';
import { formatResults, requireWritableFolder, writeResults, writeText } from '../results/io.js';
import type { Results } from '../results/types.js';
import { renderText } from '../tables/render-text.js';
import type { Table } from '../tables/table.js';
import { tablesOf } from '../tables/tables-of.js';
import { colorsFor } from './colors.js';

/** What commands see of the process. */
export interface CommandContext {
  /** Results only. */
  stdout: NodeJS.WriteStream;
  /** Progress and errors. */
  stderr: NodeJS.WriteStream;
  env: NodeJS.ProcessEnv;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
}

export interface OutputOptions {
  /** The results as JSON on stdout, and nothing else there. */
  json?: boolean | undefined;
  /** A file for the results. */
  out?: string | undefined;
  /** A file for the report. */
  report?: string | undefined;
}

/** Measures with a progress display; the paths of the outputs are checked before. */
export async function measured<T>(
  { stderr }: CommandContext,
  { out, report }: OutputOptions,
  measure: (progress: Progress) => Promise<T>,
): Promise<T> {
  for (const path of [out, report]) if (path !== undefined) await requireWritableFolder(path);
  const progress = createProgress(stderr);
  try {
    return await measure(progress);
  } finally {
    progress.end();
  }
}

/** Writes the files and prints the tables, or the JSON instead of them. */
export async function publish(
  context: CommandContext,
  results: Results,
  { json, out, report }: OutputOptions,
): Promise<void> {
  if (out !== undefined) await writeResults(out, results);
  if (report !== undefined) await writeText(report, renderReport(results));
  if (json) context.stdout.write(formatResults(results));
  else printTables(context, tablesOf(results));
  const { stdout, stderr } = context;
  for (const [name, path] of Object.entries({ results: out, report })) {
    if (path !== undefined) (json ? stderr : stdout).write(`${name}: ${path}\n`);
  }
}

export function printTables({ stdout, env }: CommandContext, tables: readonly Table[]): void {
  const colors = colorsFor(stdout, env);
  for (const table of tables) stdout.write(`${renderText(table, colors)}\n\n`);
}
