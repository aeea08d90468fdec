import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Consumer } from './consumer.js';
import { attempt } from './run.js';
import { quickStart } from './workspace.js';

const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
const nodeTypes = JSON.parse(readFileSync(require.resolve('@types/node/package.json'), 'utf8')).version;

describe('the types of @qutlass/layers', () => {
  let consumer: Consumer;
  beforeAll(async () => {
    consumer = new Consumer();
    await consumer.npmInstall('@qutlass/layers', `@types/node@${nodeTypes}`);
    consumer.write('quick-start.ts', quickStart());
    consumer.write('wrong-dtype.ts', quickStart().replace("dtype: 'bf16'", "dtype: 'bf17'"));
  });
  afterAll(() => consumer.dispose());

  const compile = (file: string, ...flags: string[]) => {
    const args = [tsc, file, '--noEmit', '--strict', '--target', 'es2022', '--types', 'node', ...flags];
    return attempt(process.execPath, args, { cwd: consumer.folder });
  };

  // Without skipLibCheck, so that the declarations themselves are checked too.
  it.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('accept the quick start with module %s, moduleResolution %s', async (module, moduleResolution) => {
    const { stdout, status } = await compile(
      'quick-start.ts',
      ...['--module', module, '--moduleResolution', moduleResolution],
    );
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });

  it('refuse an unknown dtype', async () => {
    const { stdout } = await compile('wrong-dtype.ts', '--module', 'nodenext', '--skipLibCheck');
    expect(stdout).toMatch(/^wrong-dtype\.ts\(\d+,\d+\): error TS\d+: [\s\S]*"bf17"/);
  });
});
