import { tmpdir } from 'node:os';
import { Device } from '@qutlass/core-kernels';
import { expect, it, vi } from 'vitest';
import { commitOf, runInfo } from './run-info.js';

it('describes machine, versions and time', async () => {
  const device = Device.open('cpu');
  const { machine, gpu, node, packages, date } = await runInfo(device);
  expect(gpu).toBeNull();
  expect(machine.threads).toBe(device.info.threads);
  expect(machine.memoryBytes).toBeGreaterThan(2 ** 28);
  expect(node).toBe(process.version);
  expect(Object.keys(packages)).toEqual([
    '@qutlass/core-kernels',
    '@qutlass/quant',
    '@qutlass/gemm',
    '@qutlass/layers',
    '@qutlass/bench',
    'native',
  ]);
  expect(Math.abs(Date.parse(date) - Date.now())).toBeLessThan(60_000);
});

it('takes the commit from the environment outside of the repository', async () => {
  vi.stubEnv('QUTLASS_COMMIT', 'abc123');
  try {
    expect(await commitOf(tmpdir())).toBe('abc123');
    expect(await commitOf(process.cwd())).toMatch(/^(abc123|[0-9a-f]{40}(-dirty)?)$/);
  } finally {
    vi.unstubAllEnvs();
  }
});

it('knows the commit in its own repository only', async () => {
  expect(await commitOf(tmpdir())).toBeNull();
  // A copy of the sources without git has none either.
  expect((await commitOf(process.cwd())) ?? '0'.repeat(40)).toMatch(/^[0-9a-f]{40}(-dirty)?$/);
});
