import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { failure } from '../test/failure.js';
import { clearTuning, Device, loadBinding, loadTuning, saveTuning } from './index.js';
import { measuredSeconds, recordTuning } from './tuning.js';
import { tuningPath } from './tuning-cache.js';

const device = Device.open('cpu');
const KEY = 'bf16 x nvfp4 -> bf16 [1, 64, 64]';
const OTHER = 'f32 x f32 -> f32 [2, 64, 64]';
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'qutlass-tuning-'));
  path = join(folder, 'tune.json');
  clearTuning(device);
});

afterEach(() => {
  vi.unstubAllEnvs();
  clearTuning(device);
  rmSync(folder, { recursive: true });
});

/** The file of a device with one record, changed. */
function write(change: object): void {
  const { name, isa, driver, threads } = device.info;
  const cache = {
    schema: 1,
    library: loadBinding().version(),
    device: { kind: 'cpu', name, isa, driver, threads },
    seconds: { [KEY]: { 'cpu.reference': 1e-3 } },
    ...change,
  };
  writeFileSync(path, JSON.stringify(cache));
}

const identity = () => {
  const { name, isa, threads } = device.info;
  return `${name}, ${isa}, ${threads} threads`;
};

describe('a tuning cache', () => {
  it('comes back as it was written', () => {
    recordTuning(device, { [KEY]: { 'cpu.reference': 2e-3, 'cpu.f32.generic': 1e-3 } });
    saveTuning(device, path);
    clearTuning(device);
    expect(measuredSeconds(device, KEY)).toBeUndefined();
    expect(loadTuning(device, path)).toBe(1);
    expect(measuredSeconds(device, KEY)).toEqual({ 'cpu.reference': 2e-3, 'cpu.f32.generic': 1e-3 });
    // Nothing else is left in the folder.
    expect(readdirSync(folder)).toEqual(['tune.json']);
  });

  it('keeps the problems that it had', () => {
    write({});
    recordTuning(device, { [OTHER]: { 'cpu.reference': 5 } });
    saveTuning(device, path);
    recordTuning(device, { [OTHER]: { 'cpu.reference': 4 } });
    saveTuning(device, path);
    clearTuning(device);
    expect(loadTuning(device, path)).toBe(2);
    expect(measuredSeconds(device, KEY)).toEqual({ 'cpu.reference': 1e-3 });
    expect(measuredSeconds(device, OTHER)).toEqual({ 'cpu.reference': 4 });
  });

  it('is refused, and stays, if another version or device wrote it', () => {
    const version = loadBinding().version();
    const { name, isa, threads } = device.info;
    const remedy = 'tune again with another file, or remove this one';
    for (const [change, expected] of [
      [{ schema: 2 }, `expected schema 1, got 2; ${remedy}`],
      [{ library: '9.9.9' }, `expected measurements of qutlass ${version}, got 9.9.9; ${remedy}`],
      [
        { device: { kind: 'cuda', name: 'NVIDIA H200', isa: 'sm_90', driver: '13.0', threads: 132 } },
        `expected measurements on ${identity()}, got NVIDIA H200, sm_90, 132 multiprocessors, CUDA 13.0; ${remedy}`,
      ],
      [
        { device: { kind: 'cpu', name, isa, driver: '', threads: threads + 1 } },
        `expected measurements on ${identity()}, got ${name}, ${isa}, ${threads + 1} threads; ${remedy}`,
      ],
      [
        { seconds: undefined },
        `expected library, device and seconds, got schema, library, device; ${remedy}`,
      ],
      [
        { seconds: { [KEY]: { 'cpu.reference': '1' } } },
        `expected seconds by kernel for ${KEY}, got {"cpu.reference":"1"}; ${remedy}`,
      ],
      [
        { seconds: { [KEY]: { 'cpu.reference': 0 } } },
        `expected seconds by kernel for ${KEY}, got {"cpu.reference":0}; ${remedy}`,
      ],
      [{ seconds: { [KEY]: 3 } }, `expected seconds by kernel for ${KEY}, got 3; ${remedy}`],
    ] as const) {
      write(change);
      const text = readFileSync(path, 'utf8');
      const message = `QUTLASS_E_ARGUMENT tuning cache ${path}: ${expected}`;
      expect(failure(() => loadTuning(device, path))).toBe(message);
      expect(failure(() => saveTuning(device, path))).toBe(message);
      expect(readFileSync(path, 'utf8')).toBe(text);
    }
  });

  it('is refused if it is no such file', () => {
    writeFileSync(path, '{"schema": 1');
    expect(failure(() => loadTuning(device, path))).toMatch(
      /^QUTLASS_E_ARGUMENT tuning cache .*: expected JSON, got .*; tune again with another file, or remove this one$/,
    );
    writeFileSync(path, '[]');
    expect(failure(() => loadTuning(device, path))).toBe(
      `QUTLASS_E_ARGUMENT tuning cache ${path}: expected an object, got []; tune again with another file, or remove this one`,
    );
    rmSync(path);
    expect(failure(() => loadTuning(device, path))).toBe(
      `QUTLASS_E_ARGUMENT tuning cache ${path}: expected a file that can be read, got ENOENT: no such file or directory, ` +
        `open '${path}'; run tune() to write one`,
    );
    mkdirSync(path);
    expect(failure(() => saveTuning(device, path))).toMatch(/expected a file that can be read, got EISDIR/);
    writeFileSync(join(folder, 'file'), '');
    expect(failure(() => saveTuning(device, join(folder, 'file', 'tune.json')))).toMatch(
      /^QUTLASS_E_ARGUMENT tuning cache .*: expected a file that can be (read|written), got .*ENOTDIR/,
    );
  });
});

describe('the path', () => {
  it('is that of the environment, or in the cache folder of the user', () => {
    vi.stubEnv('QUTLASS_TUNE_CACHE', path);
    expect(tuningPath(device)).toBe(path);
    vi.stubEnv('QUTLASS_TUNE_CACHE', '');
    vi.stubEnv('XDG_CACHE_HOME', folder);
    expect(dirname(tuningPath(device))).toBe(join(folder, 'qutlass'));
    expect(tuningPath(device)).toMatch(/tune-[a-z0-9-]+\.json$/);
    recordTuning(device, { [KEY]: { 'cpu.reference': 1 } });
    saveTuning(device);
    clearTuning(device);
    expect(loadTuning(device)).toBe(1);
  });
});

describe('QUTLASS_TUNE_CACHE', () => {
  // A device that has not chosen a kernel yet.
  const fresh = (threads: number) => Device.open('cpu', { threads });
  const deviceOf = ({ info: { name, isa, driver, threads } }: Device) => ({
    kind: 'cpu',
    ...{ name, isa, driver, threads },
  });

  it('is read at the first choice', () => {
    vi.stubEnv('QUTLASS_TUNE_CACHE', path);
    write({ device: deviceOf(fresh(3)) });
    expect(measuredSeconds(fresh(3), KEY)).toEqual({ 'cpu.reference': 1e-3 });
  });

  it('may name a file that is not there yet, or one of a device of another kind', () => {
    vi.stubEnv('QUTLASS_TUNE_CACHE', path);
    expect(measuredSeconds(fresh(4), KEY)).toBeUndefined();
    write({ device: { kind: 'cuda', name: 'NVIDIA H200', isa: 'sm_90', driver: '13.0', threads: 132 } });
    expect(measuredSeconds(fresh(5), KEY)).toBeUndefined();
  });

  it('is refused, at every choice, if it does not fit', () => {
    vi.stubEnv('QUTLASS_TUNE_CACHE', path);
    write({ library: '9.9.9' });
    for (const _ of [1, 2]) {
      expect(failure(() => measuredSeconds(fresh(6), KEY))).toMatch(/expected measurements of qutlass/);
    }
  });
});
