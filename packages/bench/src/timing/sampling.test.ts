import { expect, it } from 'vitest';
import { Interrupted } from '../cli/failure.js';
import type { Clock, Contender } from './clock.js';
import { sampleInterleaved } from './sampling.js';

/** Contenders and a clock that note what runs; a call takes as many seconds as the clock is told. */
function recording(count: number, secondsPerCall: number, afterRun?: () => void) {
  const calls: [contender: number, index: number][] = [];
  const samples: { contender: Contender; calls: number; runs: number; disposed: boolean }[] = [];
  const contenders = Array.from(
    { length: count },
    (_, contender): Contender => ({
      enqueue: (index) => void calls.push([contender, index]),
      period: contender + 1,
    }),
  );
  const clock: Clock = {
    kind: 'device',
    quantum: ({ period = 1 }) => period,
    prepare: (contender, number) => {
      const sample = { contender, calls: number, runs: 0, disposed: false };
      samples.push(sample);
      return {
        run: async () => {
          ++sample.runs;
          for (let call = 0; call < number; ++call) contender.enqueue(call);
          afterRun?.();
          return secondsPerCall;
        },
        [Symbol.dispose]: () => {
          sample.disposed = true;
        },
      };
    },
  };
  return { calls, contenders, clock, samples };
}

it('interleaves the contenders, in orders that change', async () => {
  const { calls, contenders, clock } = recording(3, 1);
  const rounds = 12;
  const results = await sampleInterleaved(contenders, { clock, rounds, sampleSeconds: 1e-6 });
  // A first call of each and two trials, then the rounds; a sample of contender i has i + 1 calls.
  const warmUp = [0, 1, 2].flatMap((contender) => Array(1 + 2 * (contender + 1)).fill(contender));
  const order = calls.map(([contender]) => contender);
  expect(order.slice(0, warmUp.length)).toEqual(warmUp);
  const orders = Array.from({ length: rounds }, (_, round) => {
    const begin = warmUp.length + 6 * round;
    return [...new Set(order.slice(begin, begin + 6))];
  });
  for (const round of orders) expect(round.toSorted()).toEqual([0, 1, 2]);
  expect(new Set(orders.map(String)).size).toBeGreaterThan(3);
  expect(results).toHaveLength(3);
});

it('fills samples with whole periods, and frees them', async () => {
  const { contenders, clock, samples } = recording(2, 0.001);
  await sampleInterleaved(contenders, { clock, rounds: 4, sampleSeconds: 0.0095 });
  expect(samples.map(({ calls, runs }) => [calls, runs])).toEqual([
    [1, 2],
    [10, 4],
    [2, 2],
    [10, 4],
  ]);
  expect(samples.every(({ disposed }) => disposed)).toBe(true);
});

it('does not repeat calls without end where the clock is too coarse', async () => {
  const { contenders, clock, samples } = recording(1, 0);
  await sampleInterleaved(contenders, { clock, rounds: 1, sampleSeconds: 1e-6 });
  expect(samples.at(-1)?.calls).toBe(100);
});

it('gives the baseline a speedup of exactly 1', async () => {
  const { contenders, clock } = recording(2, 0.5);
  const [baseline] = await sampleInterleaved(contenders, { clock, rounds: 4, sampleSeconds: 1e-6 });
  expect(baseline?.speedup).toEqual({ median: 1, p10: 1, p90: 1 });
});

it('stops between rounds, and frees the samples', async () => {
  const controller = new AbortController();
  let runs = 0;
  const { contenders, clock, samples } = recording(1, 1, () => {
    if (++runs === 5) controller.abort(new Interrupted());
  });
  const sampling = sampleInterleaved(contenders, {
    ...{ clock, rounds: 1000, sampleSeconds: 1e-6 },
    signal: controller.signal,
  });
  await expect(sampling).rejects.toThrow(Interrupted);
  expect(runs).toBe(5);
  expect(samples.every(({ disposed }) => disposed)).toBe(true);
});

it('frees what was prepared if a contender fails', async () => {
  const { contenders, clock, samples } = recording(1, 1);
  const broken: Contender = {
    enqueue: () => {
      throw new Error('no kernel');
    },
  };
  const options = { clock, rounds: 3, sampleSeconds: 1e-6 };
  await expect(sampleInterleaved([...contenders, broken], options)).rejects.toThrow('no kernel');
  expect(samples.every(({ disposed }) => disposed)).toBe(true);
});
