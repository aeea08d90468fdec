import type { KernelInfo } from '@qutlass/core-kernels';
import type { Precision } from './architecture.js';
import type { Hardware } from './hardware.js';
import { type OperandKind, productsIn } from './precision.js';

/** A product as the model sees it. */
export interface Workload {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Bytes that have to be moved at least. */
  readonly bytes: number;
  readonly a: OperandKind;
  readonly b: OperandKind;
}

/** What the model needs to know of a kernel. */
export type KernelModel = Pick<
  KernelInfo,
  'tile' | 'peakFraction' | 'precision' | 'decodePerClock' | 'bandwidthFraction' | 'maxM'
>;

/**
 * The time of a kernel by an analytic model, in seconds: the launch, and then the larger of
 * - the bytes at the bandwidth that the kernel reaches,
 * - waves of tiles, as many tiles at a time as there are multiprocessors. A tile takes its operations at the rate that the
 *   kernel reaches, and the codes in its rows of A and of B at the rate at which it decodes. Kernels that take all of M at
 *   once have A decoded before, and read and decode B for each `tile[0]` rows.
 *
 * Infinity if the hardware has no units of the kernel's precision.
 */
export function predictSeconds(kernel: KernelModel, work: Workload, hardware: Hardware): number {
  const { m, n, k, a, b } = work;
  const precision = kernel.precision as Precision;
  const [tileM, columns] = kernel.tile;
  const atOnce = kernel.maxM > 0;
  const rows = atOnce ? m : tileM;
  const waves = Math.ceil((Math.ceil(m / rows) * Math.ceil(n / columns)) / hardware.multiprocessors);

  const rate = (kernel.peakFraction * (hardware.peak[precision] ?? 0)) / hardware.multiprocessors;
  const multiplying = (2 * rows * columns * k * productsIn(precision, a, b)) / rate;
  const passes = Math.ceil(rows / tileM);
  const ofA = isCoded(a) && !atOnce ? rows : 0;
  const ofB = isCoded(b) ? columns * passes : 0;
  const codes = (ofA + ofB) * k;
  const decoding = kernel.decodePerClock > 0 ? codes / (kernel.decodePerClock * hardware.clock) : 0;

  const moving = (work.bytes * passes) / (kernel.bandwidthFraction * hardware.memoryBandwidth);
  return hardware.launchSeconds + Math.max(moving, waves * (multiplying + decoding));
}

function isCoded(operand: OperandKind): boolean {
  return operand !== 'f32' && operand !== 'f16' && operand !== 'bf16';
}
