import type { NativeDeviceInfo } from '@qutlass/core-kernels';
import { expect, it } from 'vitest';
import { HARDWARE, hardwareFrom, hardwareOf } from './hardware.js';
import { Device } from './index.js';

const info = (rest: Partial<NativeDeviceInfo>): NativeDeviceInfo => ({
  name: 'a processor',
  isa: 'sm_90',
  driver: '13.0',
  threads: 100,
  memoryBytes: 64e9,
  cacheBytes: 0,
  clockHz: 0,
  memoryBandwidth: 0,
  ...rest,
});

it('knows GPUs by the names that drivers give them', () => {
  expect(hardwareFrom('cuda', info({ name: 'NVIDIA H200', threads: 132 }))).toMatchObject({
    name: 'H200',
    memoryBandwidth: 4.8e12,
    peak: { bf16: 989.4e12, fp8: 1978.9e12 },
  });
  const h100 = hardwareFrom('cuda', info({ name: 'NVIDIA H100 80GB HBM3', threads: 132 }));
  expect([h100.name, h100.memoryBandwidth]).toEqual(['H100 SXM', 3.35e12]);
  expect(new Set(HARDWARE.map(({ name }) => name)).size).toBe(HARDWARE.length);
});

it('takes other names, and parts of a GPU, by what they report', () => {
  const name = 'NVIDIA GeForce RTX 4090 Laptop GPU';
  const clockHz = 1.5e9;
  const laptop = hardwareFrom(
    'cuda',
    info({ name, isa: 'sm_89', threads: 76, clockHz, memoryBandwidth: 576e9, cacheBytes: 2 ** 26 }),
  );
  expect(laptop).toMatchObject({
    name,
    architecture: 'sm_89',
    multiprocessors: 76,
    clock: clockHz,
    memoryBandwidth: 576e9,
    cacheBytes: 2 ** 26,
    memoryBytes: 64e9,
  });
  // 256 float32 operations per clock and multiprocessor; tensor cores at half the rate of an L4.
  expect(laptop.peak.f32).toBe(256 * 76 * clockHz);
  expect(laptop.peak.bf16).toBe(512 * 76 * clockHz);
  expect(laptop.peak).not.toHaveProperty('fp4');
  const part = hardwareFrom(
    'cuda',
    info({ name: 'NVIDIA H200', threads: 16, clockHz, memoryBandwidth: 6e11 }),
  );
  expect([part.multiprocessors, part.peak.bf16]).toEqual([16, 4096 * 16 * clockHz]);
});

it('assumes what is usual where a GPU does not tell', () => {
  const unknown = hardwareFrom('cuda', info({ isa: 'sm_999' }));
  expect(unknown.architecture).toBe('sm_121');
  for (const value of [unknown.clock, unknown.memoryBandwidth, unknown.cacheBytes, unknown.peak.fp4]) {
    expect(value).toBeGreaterThan(0);
  }
});

it('estimates a CPU by its threads', () => {
  const cpu = (threads: number) =>
    hardwareFrom('cpu', info({ isa: 'avx2', driver: '', threads, clockHz: 3.2e9, cacheBytes: 32e6 }));
  expect(cpu(2)).toMatchObject({
    architecture: 'x64',
    multiprocessors: 2,
    memoryBandwidth: 20e9,
    cacheBytes: 32e6,
    peak: { f32: 2 * 32 * 3.2e9, int8: 2 * 128 * 3.2e9 },
  });
  expect(cpu(64).memoryBandwidth).toBe(40e9);
});

it('is asked for a device once', () => {
  const device = Device.open('cpu');
  expect(hardwareOf(device)).toEqual(hardwareFrom('cpu', device.info));
  expect(hardwareOf(device)).toBe(hardwareOf(device));
});
