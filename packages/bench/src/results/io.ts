import { access, constants, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { invalidArgument } from '@qutlass/core-kernels';
import { resultsSchema } from './schema.js';
import type { Results } from './types.js';

/** @throws QutlassError `QUTLASS_E_ARGUMENT` naming the first field that is wrong */
export function parseResults(value: unknown, source: string): Results {
  const parsed = resultsSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') || 'the document';
  throw invalidArgument('QUTLASS_E_ARGUMENT', source, 'qutlass-bench results', `${where}: ${issue?.message}`);
}

/** JSON with a line for each row, so that two files compare line by line. */
export function formatResults(results: Results): string {
  const checked = parseResults(results, 'results');
  const lines = Object.entries(checked).map(([key, value]) => {
    const isTable = Array.isArray(value) && value.some((item) => typeof item === 'object');
    const text = isTable
      ? `[\n${value.map((row) => `    ${JSON.stringify(row)}`).join(',\n')}\n  ]`
      : JSON.stringify(value);
    return `  ${JSON.stringify(key)}: ${text}`;
  });
  return `{\n${lines.join(',\n')}\n}\n`;
}

/** @throws QutlassError `QUTLASS_E_ARGUMENT` if the file cannot be read, is not JSON or breaks the schema */
export async function readResults(path: string): Promise<Results> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument('QUTLASS_E_ARGUMENT', path, 'a readable file', error.code ?? error.message);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', path, 'JSON', (error as Error).message);
  }
  return parseResults(value, path);
}

export async function writeResults(path: string, results: Results): Promise<void> {
  await writeText(path, formatResults(results));
}

/** @throws QutlassError `QUTLASS_E_ARGUMENT` if the file cannot be written */
export async function writeText(path: string, text: string): Promise<void> {
  await writeFile(path, text).catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument('QUTLASS_E_ARGUMENT', path, 'a writable path', error.code ?? error.message);
  });
}

/**
 * For the start of a long command, which should not fail at its end.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` if no file can be created at the path
 */
export async function requireWritableFolder(path: string): Promise<void> {
  await access(dirname(path), constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument('QUTLASS_E_ARGUMENT', path, 'a path in a writable folder', error.code ?? error.message);
  });
}
