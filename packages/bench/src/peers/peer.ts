import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { invalidArgument } from '@qutlass/core-kernels';
import type { Contender } from '../timing/clock.js';

/** A product of another library, or of this one, as it is timed: calls are queued, then waited for. */
export interface PeerContender extends Contender, AsyncDisposable {
  /** Waits for the calls that were queued. */
  settle(): Promise<void>;
}

/** Finds packages that the benchmark does not depend on, from a folder where somebody has installed them. */
export class PeerPackages {
  readonly #require: NodeJS.Require;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = resolve(folder);
    this.#require = createRequire(join(this.#folder, 'package.json'));
  }

  /** What the package exports. @throws QutlassError `QUTLASS_E_ARGUMENT` with the command that installs it */
  load(name: string): unknown {
    this.path(name);
    return this.#require(name);
  }

  /** The folder of the package. @throws QutlassError `QUTLASS_E_ARGUMENT` as {@link load} */
  path(name: string): string {
    const folders = this.#require.resolve.paths(name) ?? [];
    const found = folders.map((folder) => join(folder, name)).find(existsSync);
    if (found) return found;
    const command = `npm install --ignore-scripts ${name}`;
    const expected = `a folder where ${name} is installed (${command})`;
    throw invalidArgument('QUTLASS_E_ARGUMENT', '--peers', expected, this.#folder);
  }

  /** The version of the package. */
  version(name: string): string {
    return (JSON.parse(readFileSync(join(this.path(name), 'package.json'), 'utf8')) as { version: string })
      .version;
  }
}
