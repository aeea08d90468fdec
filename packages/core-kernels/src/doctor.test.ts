import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { Device } from './device.js';
import { doctor } from './doctor.js';
import { loadBinding, probeBinding } from './loader.js';
import { failure } from './test-support.js';

it('reports the machine as the loader found it', () => {
  const report = doctor();
  expect(report).toMatchObject({
    ok: true,
    node: process.version,
    nodeApi: process.versions.napi,
    target: probeBinding().target,
    cpu: Device.open('cpu').info,
  });
  expect(report.binary).toEqual({
    loaded: true,
    version: manifest.version,
    attempts: [{ source: `@qutlass/core-kernels-${report.target}` }],
  });
  expect(report).not.toHaveProperty('problem');
});

it('says of a GPU what opening it says', () => {
  const { available, reason } = doctor().cuda;
  if (available) expect(Device.open('cuda').kind).toBe('cuda');
  else expect(failure(() => Device.open('cuda'))).toContain(reason.replace(/^device "cuda": /, ''));
});

it('lists every kernel, the reference among them', () => {
  const { kernels } = doctor();
  expect(kernels).toEqual(loadBinding().kernels());
  expect(kernels.map((kernel) => kernel.index)).toEqual(kernels.map((_, i) => i));
  expect(new Set(kernels.map((kernel) => kernel.name)).size).toBe(kernels.length);
  expect(kernels.find((kernel) => kernel.name === 'cpu.reference')).toMatchObject({
    device: 'cpu',
    requiresIsa: '',
    accumulator: 'f64',
    available: true,
  });
  // Each holds those before it.
  const sets = ['', 'avx2', 'avx512', 'avx512bf16', 'amx'];
  const own = sets.indexOf(Device.open('cpu').info.isa.replace('generic', ''));
  for (const kernel of kernels) {
    if (kernel.device === 'cpu') {
      expect(kernel.available).toBe(sets.slice(0, own + 1).includes(kernel.requiresIsa));
    }
    expect(kernel.tile.every((n) => Number.isInteger(n) && n > 0)).toBe(true);
    for (const fraction of [kernel.peakFraction, kernel.bandwidthFraction]) {
      expect(fraction).toBeGreaterThan(0);
      expect(fraction).toBeLessThanOrEqual(1);
    }
    expect(kernel.precision).toMatch(/^(f32|f16|bf16|fp8|int8)$/);
    expect(kernel.decodePerClock).toBeGreaterThanOrEqual(0);
    expect(kernel.maxM).toBeGreaterThanOrEqual(0);
  }
});

it('reports a binary that cannot be loaded, without throwing', () => {
  const library = join(import.meta.dirname, '..', 'dist', 'index.js');
  const program = `
    import { doctor, Device } from ${JSON.stringify(library)};
    let code;
    try { Device.open('cpu'); } catch (error) { code = error.code; }
    console.log(JSON.stringify({ ...doctor(), code }));`;
  const report = JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
      encoding: 'utf8',
      env: { ...process.env, QUTLASS_BINARY_PATH: '/nowhere/qutlass.node' },
    }),
  );
  expect(report).toMatchObject({
    ok: false,
    code: 'QUTLASS_E_BINARY',
    binary: {
      loaded: false,
      attempts: [
        {
          source: '/nowhere/qutlass.node',
          error: "MODULE_NOT_FOUND: Cannot find module '/nowhere/qutlass.node'",
        },
      ],
    },
    cuda: { available: false, reason: 'the native kernels are not loaded' },
    kernels: [],
  });
  expect(report.problem).toContain('correct QUTLASS_BINARY_PATH');
  expect(report).not.toHaveProperty('cpu');
});
