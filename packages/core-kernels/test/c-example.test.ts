import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadBinding } from '../src/index.js';

// The shared library without Node: the example compiles as strict C99 and prints what the formula says.

const root = join(import.meta.dirname, '../../..');
const binaries = join(root, 'packages/core-kernels/npm/linux-x64-gnu');

/** W[n, k] of the example. */
const weight = (n: number, k: number) => (n + 1) * ([6, 3, -1.5, 0.5][k % 4] as number);
/** A[m, k] of the example. */
const activation = (m: number, k: number) => m + 1 + k / 32;

function dot(m: number, n: number): number {
  let sum = 0;
  for (let k = 0; k < 32; ++k) sum += activation(m, k) * weight(n, k);
  return sum;
}

it('examples/c/quantize.c quantizes and multiplies', () => {
  const folder = mkdtempSync(join(tmpdir(), 'qutlass-c-'));
  try {
    const program = join(folder, 'quantize');
    const strict = ['-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror'];
    const library = ['-I', join(binaries, 'include'), '-L', binaries, '-lqutlass', `-Wl,-rpath,${binaries}`];
    execFileSync('cc', [...strict, join(root, 'examples/c/quantize.c'), ...library, '-o', program]);
    const [title, ...lines] = execFileSync(program, { encoding: 'utf8' }).trim().split('\n');
    const kernels = loadBinding()
      .kernels()
      .map(({ name }) => name);
    expect(title?.split(', kernel ')[0]).toBe(`qutlass ${loadBinding().version()}`);
    expect(kernels).toContain(title?.split(', kernel ')[1]);
    expect(lines).toEqual([
      ...[0, 1, 2].map((n) => `w[${n}]: ${[0, 1, 2, 3].map((k) => weight(n, k)).join(' ')} ...`),
      ...[0, 1].map((m) => `out[${m}]: ${[0, 1, 2].map((n) => dot(m, n)).join(' ')}`),
      'blocks in use: 0',
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
