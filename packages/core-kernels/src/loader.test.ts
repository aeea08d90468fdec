import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QutlassError } from './errors.js';
import { loadBinding, probe, probeBinding, targetOf } from './loader.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'qutlass-loader-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fixture = (name: string, text: string) => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};

/** The message without what differs between machines. */
const stable = (text: string | undefined) =>
  text?.replaceAll(folder, '<folder>').replaceAll(process.version, '<version>');

describe('targetOf', () => {
  it('names the C library on Linux only', () => {
    expect(targetOf({ platform: 'linux', arch: 'arm64' })).toMatch(/^linux-arm64-(gnu|musl)$/);
    expect(targetOf({ platform: 'darwin', arch: 'arm64' })).toBe('darwin-arm64');
  });
});

describe('the binary of this machine', () => {
  it('loads, once', () => {
    const report = probeBinding();
    expect(report.attempts).toEqual([{ source: `@qutlass/core-kernels-${report.target}` }]);
    expect(probeBinding()).toBe(report);
    expect(loadBinding()).toBe(report.binding);
  });
});

describe('a binary that cannot be used', () => {
  const failure = (target: string, override: string | undefined) => {
    const { attempts, binding, error } = probe(target, override);
    expect(binding).toBeUndefined();
    expect(attempts).toHaveLength(1);
    expect(error).toBeInstanceOf(QutlassError);
    expect(error?.code).toBe('QUTLASS_E_BINARY');
    expect(error?.cause).toBeInstanceOf(Error);
    return stable(error?.message);
  };

  it('an unknown target', () => {
    expect(failure('linux-x64-musl', undefined)).toMatchInlineSnapshot(`
      "the native kernels could not be loaded on linux-x64-musl (Node <version>).
      - @qutlass/core-kernels-linux-x64-musl: there is no such package
      Possible remedies:
      - run on a system that has a binary package: linux-x64-gnu
      - use a binary of your own: QUTLASS_BINARY_PATH=/path/to/qutlass.node"
    `);
  });

  it('a path with nothing there', () => {
    expect(failure('linux-x64-gnu', join(folder, 'absent.node'))).toMatchInlineSnapshot(`
      "the native kernels could not be loaded on linux-x64-gnu (Node <version>).
      - <folder>/absent.node: MODULE_NOT_FOUND: Cannot find module '<folder>/absent.node'
      Possible remedies:
      - correct QUTLASS_BINARY_PATH, or unset it to use the platform package"
    `);
  });

  it('a file that is no shared library', () => {
    expect(failure('linux-x64-gnu', fixture('broken.node', 'not an ELF file'))).toMatchInlineSnapshot(`
      "the native kernels could not be loaded on linux-x64-gnu (Node <version>).
      - <folder>/broken.node: ERR_DLOPEN_FAILED: <folder>/broken.node: file too short
      Possible remedies:
      - correct QUTLASS_BINARY_PATH, or unset it to use the platform package"
    `);
  });

  it('another ABI version', () => {
    const override = fixture('abi.cjs', 'module.exports = { abiVersion: () => 999 };');
    expect(failure('linux-x64-gnu', override)).toMatchInlineSnapshot(`
      "the native kernels could not be loaded on linux-x64-gnu (Node <version>).
      - <folder>/abi.cjs: it has ABI version 999, expected 4; install both packages in one version
      Possible remedies:
      - correct QUTLASS_BINARY_PATH, or unset it to use the platform package"
    `);
  });

  it('a missing platform package', () => {
    // The built file, away from the workspace, whose node_modules have the package.
    copyFileSync(join(import.meta.dirname, '..', 'dist', 'index.js'), join(folder, 'index.mjs'));
    const program = `import { doctor } from './index.mjs'; console.log(JSON.stringify(doctor()));`;
    const stdout = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
    });
    const { ok, problem } = JSON.parse(stdout);
    expect(ok).toBe(false);
    expect(stable(problem)).toMatchInlineSnapshot(`
      "the native kernels could not be loaded on linux-x64-gnu (Node <version>).
      - @qutlass/core-kernels-linux-x64-gnu: MODULE_NOT_FOUND: Cannot find module '@qutlass/core-kernels-linux-x64-gnu'
      Possible remedies:
      - install the platform package, which npm skips with --omit=optional or a lockfile from another system:
          npm install --include=optional @qutlass/core-kernels-linux-x64-gnu
      - cross-install for another system: npm install --os=linux --cpu=x64 --libc=glibc @qutlass/core-kernels
      - use a binary of your own: QUTLASS_BINARY_PATH=/path/to/qutlass.node"
    `);
  });
});

it('an override takes the place of the platform package', () => {
  const override = fixture(
    'override.cjs',
    `module.exports = { abiVersion: () => 4, initialize(errorClass) { this.errorClass = errorClass; } };`,
  );
  const { attempts, binding, error } = probe('linux-x64-gnu', override);
  expect(error).toBeUndefined();
  expect(attempts).toEqual([{ source: override }]);
  expect(binding).toHaveProperty('errorClass', QutlassError);
});
