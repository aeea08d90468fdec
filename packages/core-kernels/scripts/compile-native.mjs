import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');

/**
 * Compiles the native code with cmake-js; ends this process where that fails.
 * @param options Further options of `cmake-js compile`.
 * @param env Environment variables besides those of this process.
 */
export function compileNative(options = [], env = {}) {
  const cmakeJs = join(
    dirname(createRequire(import.meta.url).resolve('cmake-js/package.json')),
    'bin',
    'cmake-js',
  );
  const { status } = spawnSync(
    process.execPath,
    [cmakeJs, 'compile', '--parallel', String(availableParallelism()), ...options],
    { cwd: root, env: { ...process.env, ...env }, stdio: 'inherit' },
  );
  if (status !== 0) process.exit(status ?? 1);
}
