import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PeerPackages } from './peer.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qutlass-peers-'));
  const own = join(folder, 'node_modules', '@scope', 'library');
  await mkdir(own, { recursive: true });
  // Its package.json is not among its exports.
  const exports = { '.': './index.js' };
  await writeFile(join(own, 'package.json'), JSON.stringify({ version: '1.2.3', exports }));
  await writeFile(join(own, 'index.js'), 'module.exports = { answer: 42 };');
});
afterAll(() => rm(folder, { recursive: true }));

it('finds packages from a folder', () => {
  const packages = new PeerPackages(folder);
  expect(packages.load('@scope/library')).toEqual({ answer: 42 });
  expect(packages.path('@scope/library')).toBe(join(folder, 'node_modules', '@scope', 'library'));
  expect(packages.version('@scope/library')).toBe('1.2.3');
});

it('says how to install one that is missing', () => {
  expect(() => new PeerPackages(folder).load('missing-library')).toThrow(
    expect.objectContaining({
      code: 'QUTLASS_E_ARGUMENT',
      message: `--peers: expected a folder where missing-library is installed (npm install --ignore-scripts missing-library), got ${folder}`,
    }),
  );
});
