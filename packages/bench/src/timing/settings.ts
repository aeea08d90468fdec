import type { Device } from '@qutlass/core-kernels';
import type { Progress } from '../progress.js';
import type { TimingSettings } from '../results/types.js';
import { type Clock, clockOf } from './clock.js';
import { cacheBytesOf } from './copies.js';
import type { SamplingOptions } from './sampling.js';

/** Enough rounds for a 10th and a 90th percentile that are not the extremes. */
const FULL_ROUNDS = 11;
const QUICK_ROUNDS = 5;

/** A GPU's events tell samples of a millisecond apart; the host's clock and scheduler need longer ones. */
const SAMPLE_SECONDS = { cpu: { full: 0.05, quick: 0.005 }, cuda: { full: 1e-3, quick: 0.5e-3 } } as const;

/** What every measurement of time has to know. */
export interface TimingOptions {
  device: Device;
  /** Fewer and shorter samples. */
  quick: boolean;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** How {@link sampleInterleaved} runs; default clock: the one of the device. */
export function samplingOf({ device, quick, signal }: TimingOptions, clock?: Clock): SamplingOptions {
  return {
    clock: clock ?? clockOf(device),
    rounds: quick ? QUICK_ROUNDS : FULL_ROUNDS,
    sampleSeconds: SAMPLE_SECONDS[device.kind][quick ? 'quick' : 'full'],
    signal,
  };
}

/** What a results file says about it. */
export function timingSettings(
  device: Device,
  { clock, rounds, sampleSeconds }: SamplingOptions,
): TimingSettings {
  return { clock: clock.kind, rounds, sampleSeconds, cacheBytes: cacheBytesOf(device) };
}
