import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of the repository. */
export const ROOT = join(import.meta.dirname, '..', '..', '..');

export interface PublicPackage {
  readonly name: string;
  readonly version: string;
  /** Whether it has types of its own, as all but the binary packages do. */
  readonly typed: boolean;
}

/** What gets published: the libraries and the binary packages of core-kernels. */
export const PUBLIC_PACKAGES: readonly PublicPackage[] = ['packages', 'packages/core-kernels/npm'].flatMap(
  (parent) => readdirSync(join(ROOT, parent)).map((name) => readPackage(join(ROOT, parent, name))),
);

function readPackage(folder: string): PublicPackage {
  const { name, version, types, exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return { name, version, typed: types !== undefined || exports['.'].types !== undefined };
}

/** The program of the README's quick start: its first `ts` block. */
export function quickStart(): string {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, code] = /^## Quick start$[\s\S]*?^```ts\n([\s\S]*?)^```$/m.exec(readme) ?? [];
  if (code === undefined) throw new Error('README.md: expected a ts block below "## Quick start"');
  return code;
}
