import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { type Output, run } from './run.js';

/** An empty project outside the repository, as of somebody who uses the packages. */
export class Consumer {
  readonly folder = mkdtempSync(join(tmpdir(), 'qutlass-consumer-'));

  constructor() {
    this.write('package.json', JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
    // Only our scope comes from the test's registry; everything else from wherever this machine gets packages.
    this.write('.npmrc', `@qutlass:registry=${inject('registry').url}\n`);
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text);
  }

  npmInstall(...args: string[]): Promise<Output> {
    return this.run('npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', ...args);
  }

  pnpmAdd(...args: string[]): Promise<Output> {
    // Its own metadata: the user's cache must not learn about a registry that is gone in a minute.
    return this.run('pnpm', 'add', '--config.cache-dir=.pnpm-cache', ...args);
  }

  run(command: string, ...args: string[]): Promise<Output> {
    return run(command, args, { cwd: this.folder });
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
