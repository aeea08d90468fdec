import { shuffled, uniform } from '../random.js';
import { type Spread, summarize } from '../statistics.js';
import type { Clock, Contender, Sample } from './clock.js';

export interface SamplingOptions {
  clock: Clock;
  rounds: number;
  /** A sample repeats calls until it takes this long. */
  sampleSeconds: number;
  /** A sample never has more calls than this; default: as many as it takes. */
  maxCalls?: number;
  signal?: AbortSignal | undefined;
}

export interface Sampled {
  /** Per call. */
  readonly seconds: Spread;
  /** Time of the first contender over the time of this one, by rounds: what drifts between rounds cancels. */
  readonly speedup: Spread;
}

/**
 * Times the contenders in turn, round after round, each round in another random order, so that none of them always runs
 * after the same one. The first is the baseline.
 */
export async function sampleInterleaved(
  contenders: readonly Contender[],
  { clock, rounds, sampleSeconds, maxCalls, signal }: SamplingOptions,
): Promise<Sampled[]> {
  const samples: Sample[] = [];
  try {
    for (const contender of contenders) samples.push(await fill(contender, clock, sampleSeconds, maxCalls));
    const times = contenders.map((): number[] => []);
    const next = uniform(0);
    for (let round = 0; round < rounds; ++round) {
      for (const which of shuffled(contenders.length, next)) times[which]!.push(await samples[which]!.run());
      // Lets signals in: on the host's clock, sampling blocks the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
    const [baseline] = times;
    return times.map((own) => ({
      seconds: summarize(own),
      speedup: summarize(own.map((seconds, round) => baseline![round]! / seconds)),
    }));
  } finally {
    for (const sample of samples) sample[Symbol.dispose]();
  }
}

/** Of a call, where the clock is too coarse to tell. */
const LEAST_SECONDS = 1e-8;

/** As many calls as fill a sample. */
async function fill(
  contender: Contender,
  clock: Clock,
  sampleSeconds: number,
  maxCalls = Number.POSITIVE_INFINITY,
): Promise<Sample> {
  const quantum = clock.quantum(contender);
  // Pays for what only the first call needs, and cannot be captured.
  contender.enqueue(0);
  const trial = clock.prepare(contender, quantum);
  let calls: number;
  try {
    await trial.run();
    const seconds = await trial.run();
    const wanted = Math.ceil(sampleSeconds / (Math.max(seconds, LEAST_SECONDS) * quantum));
    calls = quantum * Math.max(1, Math.min(wanted, Math.floor(maxCalls / quantum)));
  } catch (error) {
    trial[Symbol.dispose]();
    throw error;
  }
  if (calls === quantum) return trial;
  trial[Symbol.dispose]();
  return clock.prepare(contender, calls);
}
