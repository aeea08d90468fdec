import { invalidArgument } from '@qutlass/core-kernels';
import type { Precision } from './architecture.js';
import type { Hardware } from './hardware.js';

/** Work as the roofline sees it. */
export interface Work {
  /** Additions and multiplications. */
  readonly operations: number;
  /** Moved between memory and chip. */
  readonly bytes: number;
  /** Of the units that do the operations. */
  readonly precision: Precision;
}

/** The least time that hardware allows, and why. */
export interface Roofline {
  /** The larger of both limits. */
  readonly seconds: number;
  /** Bytes at full bandwidth. */
  readonly memorySeconds: number;
  /** Operations at the peak rate. */
  readonly computeSeconds: number;
  /** Operations per byte of the work. */
  readonly intensity: number;
  /** Operations per byte at which both limits are equal. */
  readonly ridge: number;
  /** The limit that binds; `memory` up to the ridge. */
  readonly bound: 'memory' | 'compute';
}

/**
 * The roofline model (Williams, Waterman, Patterson: "Roofline: an insightful visual performance model", 2009).
 * @throws QutlassError `QUTLASS_E_ARGUMENT` if the hardware has no units of the precision
 */
export function roofline(hardware: Hardware, { operations, bytes, precision }: Work): Roofline {
  const peak = hardware.peak[precision];
  if (peak === undefined) {
    const expected = `one of ${Object.keys(hardware.peak).join(', ')} on ${hardware.name}`;
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'precision', expected, precision);
  }
  const memorySeconds = bytes / hardware.memoryBandwidth;
  const computeSeconds = operations / peak;
  return {
    seconds: Math.max(memorySeconds, computeSeconds),
    memorySeconds,
    computeSeconds,
    intensity: operations / bytes,
    ridge: peak / hardware.memoryBandwidth,
    bound: memorySeconds >= computeSeconds ? 'memory' : 'compute',
  };
}
