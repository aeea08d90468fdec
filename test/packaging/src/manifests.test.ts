import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { run } from './run.js';
import { PUBLIC_PACKAGES, type PublicPackage } from './workspace.js';

const tarballOf = ({ name, version }: PublicPackage) =>
  join(inject('registry').storage, name, `${name.replace('@qutlass/', '')}-${version}.tgz`);
const bin = (name: string) => join(import.meta.dirname, '..', 'node_modules', '.bin', name);
const cwd = tmpdir();

describe.each(PUBLIC_PACKAGES)('the tarball of $name', (published) => {
  const tarball = tarballOf(published);

  it('passes publint', async () => {
    await run(bin('publint'), ['run', tarball, '--strict'], { cwd });
  });

  it('holds what a user needs and no sources', async () => {
    const { stdout } = await run('tar', ['-tzf', tarball], { cwd });
    const files = stdout.trim().split('\n');
    const expected = published.typed
      ? ['dist/index.js', 'dist/index.d.ts']
      : ['qutlass.node', 'libqutlass.so'];
    for (const file of ['package.json', 'README.md', 'LICENSE', ...expected]) {
      expect(files).toContain(`package/${file}`);
    }
    expect(files.filter((file) => /\/(src|test|native|node_modules)\/|\.test\./.test(file))).toEqual([]);
  });

  it('asks for releases and runs nothing on install', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'qutlass-tarball-'));
    try {
      await run('tar', ['-xzf', tarball, '-C', folder, 'package/package.json'], { cwd });
      const manifest = readFileSync(join(folder, 'package', 'package.json'), 'utf8');
      expect(manifest).not.toMatch(/workspace:|catalog:/);
      const scripts = Object.keys(JSON.parse(manifest).scripts ?? {});
      expect(scripts.filter((script) => /^((pre|post)?install|prepare)$/.test(script))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe.each(PUBLIC_PACKAGES.filter(({ typed }) => typed))('the types of $name', (published) => {
  it('pass attw', async () => {
    const args = [tarballOf(published), '--profile', 'esm-only', '--no-definitely-typed'];
    await run(bin('attw'), args, { cwd });
  });
});
