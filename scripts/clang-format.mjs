// Checks (--check) or rewrites (--write) the layout of the native sources; the style is in .clang-format.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import clangFormat from 'clang-format-node';

const MODES = { '--check': ['--dry-run', '--Werror'], '--write': ['-i'] };
const SOURCE = /\.(h|cc|cu|cuh)$/;

const options = MODES[process.argv[2]];
if (!options) {
  console.error('usage: node scripts/clang-format.mjs --check | --write');
  process.exit(2);
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const files = readdirSync(join(root, 'packages'))
  .map((name) => join(root, 'packages', name, 'native'))
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)))
  .filter((file) => SOURCE.test(file));

const { status, error } = spawnSync(clangFormat.clangFormatPath, ['--style=file', ...options, ...files], {
  stdio: 'inherit',
});
if (error) console.error(`clang-format: ${error.message}`);
else if (status !== 0) console.error('clang-format: run "npm run format" to lay out the native sources');
process.exitCode = status ?? 1;
