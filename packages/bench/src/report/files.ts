import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidArgument } from '@qutlass/core-kernels';
import { writeText } from '../results/io.js';
import type { Results } from '../results/types.js';
import { renderMarkdown } from '../tables/render-markdown.js';
import { tablesOf } from '../tables/tables-of.js';
import { figuresOf } from './figures-of.js';
import { standaloneSvg } from './standalone.js';

/**
 * Writes each figure as `<suite>-<figure>.svg` and all tables as `<suite>.md` into a directory, and returns the paths.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` if the directory cannot be written
 */
export async function writeFigures(directory: string, results: Results): Promise<string[]> {
  await mkdir(directory, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      directory,
      'a writable directory',
      error.code ?? error.message,
    );
  });
  const files = figuresOf(results).map((figure) => ({
    path: join(directory, `${results.suite}-${figure.id}.svg`),
    text: standaloneSvg(figure),
  }));
  const tables = tablesOf(results).map(renderMarkdown).join('\n');
  files.push({ path: join(directory, `${results.suite}.md`), text: tables });
  for (const { path, text } of files) await writeText(path, text);
  return files.map(({ path }) => path);
}
