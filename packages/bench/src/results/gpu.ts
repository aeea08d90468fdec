import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Device } from '@qutlass/core-kernels';
import type { Gpu, GpuState } from './types.js';

const FIELDS = ['driver_version', 'clocks.sm', 'clocks.mem', 'power.draw', 'temperature.gpu'];

/** A driver that hangs is not worth waiting for. */
const TIMEOUT_MS = 10_000;

/** Facts of the GPU of a run; null for the CPU. */
export function gpuOf(device: Device, before: GpuState | null, after: GpuState | null): Gpu | null {
  if (device.kind === 'cpu') return null;
  const { name, isa, threads, memoryBytes, cacheBytes, driver } = device.info;
  return { name, isa, multiprocessors: threads, memoryBytes, cacheBytes, cuda: driver, before, after };
}

/** What nvidia-smi says of the device now; null on the CPU and where it does not run. */
export async function gpuState(device: Device, env = process.env): Promise<GpuState | null> {
  if (device.kind === 'cpu') return null;
  const query = [`--query-gpu=${FIELDS}`, '--format=csv,noheader,nounits', `--id=${visibleId(device.name, env)}`];
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: TIMEOUT_MS });
    return parseGpuState(stdout);
  } catch {
    return null;
  }
}

/** The index or UUID by which nvidia-smi knows `cuda:<index>`: CUDA_VISIBLE_DEVICES renumbers GPUs for CUDA only. */
export function visibleId(name: string, { CUDA_VISIBLE_DEVICES: visible }: NodeJS.ProcessEnv): string {
  const index = name.split(':')[1] ?? '0';
  return visible?.split(',')[Number(index)]?.trim() || index;
}

/** A line of nvidia-smi in the order of the fields; it prints `[N/A]` for what it does not know. */
export function parseGpuState(line: string): GpuState {
  const [driver, ...numbers] = line.trim().split(/\s*,\s*/);
  const [clock, memoryClock, power, temperature] = FIELDS.slice(1).map((_, index) => {
    const value = Number.parseFloat(numbers[index] ?? '');
    return Number.isFinite(value) ? value : null;
  });
  return {
    driver: driver?.startsWith('[') ? null : (driver ?? null),
    clock: clock ?? null,
    memoryClock: memoryClock ?? null,
    power: power ?? null,
    temperature: temperature ?? null,
  };
}
