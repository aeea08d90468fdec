import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from 'vitest';

const BIN = fileURLToPath(new URL('../bin/qutlass-bench.mjs', import.meta.url));

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The command qutlass-bench in an empty folder, for the tests of a file. */
export function commandLine() {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'qutlass-bench-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const start = (args: readonly string[]): { child: ChildProcess; finished: Promise<Finished> } => {
    const child = spawn(process.execPath, [BIN, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    const finished = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
      ([stdout, stderr, [code]]): Finished => ({ code, stdout, stderr }),
    );
    return { child, finished };
  };
  return { folder: () => folder, start, cli: (...args: string[]) => start(args).finished };
}
