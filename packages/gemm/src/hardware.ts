import type { Device, DeviceKind, NativeDeviceInfo } from '@qutlass/core-kernels';
import { type Architecture, architectureOf, type Rates, ratesOf } from './architecture.js';

/** What decides how fast a device can be. */
export interface Hardware {
  readonly name: string;
  readonly architecture: Architecture;
  /** Multiprocessors of a GPU; threads of the kernels on a CPU. */
  readonly multiprocessors: number;
  /** The highest clock, in Hz. */
  readonly clock: number;
  /** Bytes per second between memory and chip. */
  readonly memoryBandwidth: number;
  /** The last level of cache. */
  readonly cacheBytes: number;
  readonly memoryBytes: number;
  /** Operations per second, dense, two per multiply-add. */
  readonly peak: Rates;
  /** From the end of a kernel to the start of the next one in a graph. */
  readonly launchSeconds: number;
}

interface Product extends Hardware {
  /** The names that drivers give it. */
  readonly reportedAs: readonly string[];
}

const MIB = 2 ** 20;

/** Kernel boundary in a CUDA graph on an H100: Hazy Research, "Look Ma, No Bubbles!", 2025. */
const GPU_LAUNCH_SECONDS = 1.3e-6;

/** Waking the thread of the stream and those of the pool: of the order of one futex call each. */
const CPU_LAUNCH_SECONDS = 5e-6;

/** Rates in units of 1e12, as datasheets have them. */
function tera(rates: Rates): Rates {
  return Object.fromEntries(Object.entries(rates).map(([precision, rate]) => [precision, rate * 1e12]));
}

function product(
  name: string,
  reportedAs: readonly string[],
  rest: Omit<Product, 'name' | 'reportedAs' | 'launchSeconds'>,
): Product {
  return Object.freeze({ name, reportedAs, launchSeconds: GPU_LAUNCH_SECONDS, ...rest });
}

const HOPPER_SXM = {
  architecture: 'sm_90',
  multiprocessors: 132,
  clock: 1.98e9,
  peak: tera({ f32: 66.9, f16: 989.4, bf16: 989.4, fp8: 1978.9, int8: 1978.9 }),
} as const;

const A100 = {
  architecture: 'sm_80',
  multiprocessors: 108,
  clock: 1.41e9,
  cacheBytes: 40 * MIB,
  peak: tera({ f32: 19.5, f16: 312, bf16: 312, int8: 624, int4: 1248 }),
} as const;

/** GPUs by datasheet. */
export const HARDWARE: readonly Hardware[] = [
  // NVIDIA T4 datasheet; Turing architecture whitepaper (TU104: 4 MB of L2 cache).
  product('T4', ['Tesla T4'], {
    architecture: 'sm_75',
    multiprocessors: 40,
    clock: 1.59e9,
    memoryBandwidth: 320e9,
    cacheBytes: 4 * MIB,
    memoryBytes: 16e9,
    peak: tera({ f32: 8.1, f16: 65, int8: 130, int4: 260 }),
  }),
  // NVIDIA A10 datasheet; GA102 architecture whitepaper (6 MB of L2 cache).
  product('A10', ['NVIDIA A10'], {
    architecture: 'sm_86',
    multiprocessors: 72,
    clock: 1.695e9,
    memoryBandwidth: 600e9,
    cacheBytes: 6 * MIB,
    memoryBytes: 24e9,
    peak: tera({ f32: 31.2, f16: 125, bf16: 125, int8: 250, int4: 500 }),
  }),
  // NVIDIA A100 datasheet and architecture whitepaper.
  product('A100 40 GB', ['NVIDIA A100-SXM4-40GB', 'NVIDIA A100-PCIE-40GB'], {
    ...A100,
    memoryBandwidth: 1555e9,
    memoryBytes: 40e9,
  }),
  product('A100 80 GB SXM', ['NVIDIA A100-SXM4-80GB'], {
    ...A100,
    memoryBandwidth: 2039e9,
    memoryBytes: 80e9,
  }),
  // NVIDIA L4 and L40S datasheets, whose figures with sparsity are halved; Ada architecture whitepaper (caches). The
  // datasheet of the L40S gives int4 the rate of int8.
  product('L4', ['NVIDIA L4'], {
    architecture: 'sm_89',
    multiprocessors: 58,
    clock: 2.04e9,
    memoryBandwidth: 300e9,
    cacheBytes: 48 * MIB,
    memoryBytes: 24e9,
    peak: tera({ f32: 30.3, f16: 121, bf16: 121, fp8: 242.5, int8: 242.5, int4: 485 }),
  }),
  product('L40S', ['NVIDIA L40S'], {
    architecture: 'sm_89',
    multiprocessors: 142,
    clock: 2.52e9,
    memoryBandwidth: 864e9,
    cacheBytes: 96 * MIB,
    memoryBytes: 48e9,
    peak: tera({ f32: 91.6, f16: 362, bf16: 362, fp8: 733, int8: 733, int4: 733 }),
  }),
  // GA102 architecture whitepaper; f16 and bf16 with float32 sums.
  product('GeForce RTX 3090', ['NVIDIA GeForce RTX 3090'], {
    architecture: 'sm_86',
    multiprocessors: 82,
    clock: 1.695e9,
    memoryBandwidth: 936e9,
    cacheBytes: 6 * MIB,
    memoryBytes: 24e9,
    peak: tera({ f32: 35.6, f16: 71, bf16: 71, int8: 284, int4: 568 }),
  }),
  // Ada architecture whitepaper; f16, bf16 and fp8 with float32 sums.
  product('GeForce RTX 4090', ['NVIDIA GeForce RTX 4090'], {
    architecture: 'sm_89',
    multiprocessors: 128,
    clock: 2.52e9,
    memoryBandwidth: 1008e9,
    cacheBytes: 72 * MIB,
    memoryBytes: 24e9,
    peak: tera({ f32: 82.6, f16: 165.2, bf16: 165.2, fp8: 330.3, int8: 660.6, int4: 1321.2 }),
  }),
  // RTX Blackwell architecture whitepaper; f16 and bf16 with float32 sums, fp8 block-scaled (419 without).
  product('GeForce RTX 5090', ['NVIDIA GeForce RTX 5090'], {
    architecture: 'sm_120',
    multiprocessors: 170,
    clock: 2.407e9,
    memoryBandwidth: 1792e9,
    cacheBytes: 96 * MIB,
    memoryBytes: 32e9,
    peak: tera({ f32: 104.8, f16: 209.5, bf16: 209.5, fp8: 838, int8: 838, fp4: 1676 }),
  }),
  // NVIDIA H100 datasheet and Hopper architecture whitepaper; the peaks of tensor cores are at 1.83 and 1.62 GHz.
  product('H100 SXM', ['NVIDIA H100 80GB HBM3'], {
    ...HOPPER_SXM,
    memoryBandwidth: 3350e9,
    cacheBytes: 50 * MIB,
    memoryBytes: 80e9,
  }),
  product('H100 PCIe', ['NVIDIA H100 PCIe'], {
    architecture: 'sm_90',
    multiprocessors: 114,
    clock: 1.755e9,
    memoryBandwidth: 2039e9,
    cacheBytes: 50 * MIB,
    memoryBytes: 80e9,
    peak: tera({ f32: 51.2, f16: 756, bf16: 756, fp8: 1513, int8: 1513 }),
  }),
  // NVIDIA H200 datasheet; the size of the cache is what the driver reports.
  product('H200', ['NVIDIA H200'], {
    ...HOPPER_SXM,
    memoryBandwidth: 4800e9,
    cacheBytes: 60 * MIB,
    memoryBytes: 141e9,
  }),
  // NVIDIA DGX B200 datasheet, an eighth of eight GPUs, without sparsity; the size of the cache is what the driver reports.
  product('B200', ['NVIDIA B200'], {
    architecture: 'sm_100',
    multiprocessors: 148,
    clock: 1.965e9,
    memoryBandwidth: 8000e9,
    cacheBytes: 126 * MIB,
    memoryBytes: 180e9,
    peak: tera({ f32: 75, f16: 2250, bf16: 2250, fp8: 4500, int8: 4500, fp4: 9000 }),
  }),
  // NVIDIA DGX Spark datasheet: 273 GB/s, 1 PFLOP/s of sparse fp4. The other peaks are that by the ratios of sm_120.
  product('GB10', ['NVIDIA GB10'], {
    architecture: 'sm_121',
    multiprocessors: 48,
    clock: 2.5e9,
    memoryBandwidth: 273e9,
    cacheBytes: 24 * MIB,
    memoryBytes: 128e9,
    peak: tera({ f32: 31, f16: 125, bf16: 125, fp8: 250, int8: 250, fp4: 500 }),
  }),
];

const known = new Map(
  (HARDWARE as readonly Product[]).flatMap((gpu) => gpu.reportedAs.map((name) => [name, gpu] as const)),
);
const found = new WeakMap<Device, Hardware>();

/** The hardware of a device: by the table, or from what the device reports of itself. */
export function hardwareOf(device: Device): Hardware {
  let hardware = found.get(device);
  if (!hardware) {
    hardware = hardwareFrom(device.kind, device.info);
    found.set(device, hardware);
  }
  return hardware;
}

/** As {@link hardwareOf}, from a report. */
export function hardwareFrom(kind: DeviceKind, info: NativeDeviceInfo): Hardware {
  const listed = kind === 'cuda' ? known.get(info.name) : undefined;
  // A part of a GPU may go by the name of the whole.
  if (listed?.multiprocessors === info.threads) return listed;
  return kind === 'cuda' ? estimateGpu(info) : estimateCpu(info);
}

/** Rates per clock of the architecture; where the driver does not tell, what is usual. */
function estimateGpu(info: NativeDeviceInfo): Hardware {
  const clock = info.clockHz || 1.5e9;
  const architecture = architectureOf(info.isa);
  return {
    ...common(info, architecture, clock, ratesOf(architecture, info.name)),
    // The GPUs of the table have 6 to 54 GB/s per multiprocessor.
    memoryBandwidth: info.memoryBandwidth || info.threads * 8e9,
    cacheBytes: info.cacheBytes || 32 * MIB,
    launchSeconds: GPU_LAUNCH_SECONDS,
  };
}

/** A thread reads some 10 GB/s; two channels of DDR4-2666 have 43 GB/s. */
function estimateCpu(info: NativeDeviceInfo): Hardware {
  return {
    ...common(info, 'x64', info.clockHz || 3e9, ratesOf('x64', info.name)),
    memoryBandwidth: Math.min(info.threads * 10e9, 40e9),
    cacheBytes: info.cacheBytes || 32 * MIB,
    launchSeconds: CPU_LAUNCH_SECONDS,
  };
}

function common(info: NativeDeviceInfo, architecture: Architecture, clock: number, rates: Rates) {
  const perClock = info.threads * clock;
  return {
    name: info.name,
    architecture,
    multiprocessors: info.threads,
    clock,
    memoryBytes: info.memoryBytes,
    peak: Object.fromEntries(
      Object.entries(rates).map(([precision, rate]) => [precision, rate * perClock]),
    ) as Rates,
  };
}
