import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { run } from './run.js';
import { ROOT } from './workspace.js';

declare module 'vitest' {
  export interface ProvidedContext {
    readonly registry: {
      readonly url: string;
      /** Holds the published tarballs as `<package>/<name>-<version>.tgz`. */
      readonly storage: string;
    };
  }
}

/** Publishes all packages to a registry that lives as long as the tests do and knows nothing else. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'qutlass-registry-'));
  const storage = join(folder, 'storage');
  const server = await startRegistry(folder, storage);
  const teardown = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await publish(url, folder);
    project.provide('registry', { url, storage });
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}

async function startRegistry(folder: string, storage: string): Promise<Server> {
  const { runServer } = await import('verdaccio');
  const server: Server = await runServer({
    configPath: join(folder, 'config.yaml'),
    self_path: join(folder, 'config.yaml'),
    storage,
    uplinks: {},
    packages: { '@qutlass/*': { access: ['$all'], publish: ['$all'] } },
    auth: {},
    security: {},
    web: { enable: false },
    log: { type: 'stderr', level: 'error' },
    max_body_size: '200mb',
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function publish(url: string, folder: string): Promise<void> {
  // npm asks for a token before it publishes anything; this registry takes any.
  const userConfig = join(folder, 'npmrc');
  writeFileSync(userConfig, `${url.replace('http:', '')}:_authToken=anyone\n`);
  const args = ['publish', '--recursive', '--registry', url, '--access', 'public', '--no-git-checks'];
  await run('pnpm', args, { cwd: ROOT, env: { NPM_CONFIG_USERCONFIG: userConfig } });
}
