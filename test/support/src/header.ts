import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const file = join(import.meta.dirname, '../../../packages/core-kernels/native/include/qutlass.h');

/** The C header without its comments. */
export const HEADER = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');

/** The constants of an enum of the header by name, for instance of `qutlass_dtype`. */
export function headerEnum(name: string): Readonly<Record<string, number>> {
  const [, body] = new RegExp(`typedef enum ${name} \\{([^}]*)\\}`).exec(HEADER) ?? [];
  if (body === undefined) throw new Error(`qutlass.h has no enum ${name}`);
  return Object.fromEntries(
    [...body.matchAll(/(\w+)\s*=\s*(\d+)/g)].map(([, key, value]) => [key as string, Number(value)]),
  );
}
