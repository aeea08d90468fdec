import { shuffled, uniform } from '../random.js';
import { type Spread, summarize } from '../statistics.js';

/** Something to time. */
export interface Contender {
  /** Enqueues one call; `index` counts up, so that it can work on other memory each time. */
  enqueue(index: number): void;
}

export interface SamplingOptions {
  rounds: number;
  /** A sample repeats calls until it takes this long. */
  sampleSeconds: number;
  /** Blocks until all calls have run. */
  synchronize: () => void;
  signal?: AbortSignal;
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
  { rounds, sampleSeconds, synchronize, signal }: SamplingOptions,
): Promise<Sampled[]> {
  const counters = contenders.map(() => 0);
  const sample = (which: number, calls: number): number => {
    const begin = performance.now();
    for (let i = 0; i < calls; ++i) contenders[which]!.enqueue(counters[which]!++);
    synchronize();
    return (performance.now() - begin) / 1000 / calls;
  };
  // The first call of each pays for memory and caches; the second says how many calls fill a sample.
  const repeats = contenders.map((_, which) => {
    sample(which, 1);
    return Math.max(1, Math.ceil(sampleSeconds / sample(which, 1)));
  });
  const times = contenders.map((): number[] => []);
  const next = uniform(0);
  for (let round = 0; round < rounds; ++round) {
    for (const which of shuffled(contenders.length, next)) times[which]!.push(sample(which, repeats[which]!));
    // Lets signals in: sampling blocks the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
  const [baseline] = times;
  return times.map((own) => ({
    seconds: summarize(own),
    speedup: summarize(own.map((seconds, round) => baseline![round]! / seconds)),
  }));
}
