import { expect, it } from 'vitest';
import { Interrupted } from '../cli/failure.js';
import { type Contender, sampleInterleaved } from './sampling.js';

/** Contenders that note their calls, in samples of one call each. */
function recording(count: number) {
  const calls: [contender: number, index: number][] = [];
  const contenders = Array.from(
    { length: count },
    (_, contender): Contender => ({ enqueue: (index) => void calls.push([contender, index]) }),
  );
  return { calls, contenders };
}

it('interleaves the contenders, in orders that change, and counts calls up', async () => {
  const { calls, contenders } = recording(3);
  let synchronized = 0;
  const rounds = 12;
  const results = await sampleInterleaved(contenders, {
    rounds,
    sampleSeconds: Number.MIN_VALUE,
    synchronize: () => void ++synchronized,
  });
  const order = calls.map(([contender]) => contender);
  // Two calls of each to warm up, then the rounds.
  expect(order.slice(0, 6)).toEqual([0, 0, 1, 1, 2, 2]);
  const orders = Array.from({ length: rounds }, (_, round) => order.slice(6 + 3 * round, 9 + 3 * round));
  for (const round of orders) expect(round.toSorted()).toEqual([0, 1, 2]);
  expect(new Set(orders.map(String)).size).toBeGreaterThan(3);
  expect(calls.filter(([contender]) => contender === 1).map(([, index]) => index)).toEqual(
    Array.from({ length: rounds + 2 }, (_, index) => index),
  );
  expect(synchronized).toBe(calls.length);
  expect(results).toHaveLength(3);
});

it('gives the baseline a speedup of exactly 1', async () => {
  const { contenders } = recording(2);
  const [baseline] = await sampleInterleaved(contenders, {
    rounds: 4,
    sampleSeconds: 1e-6,
    synchronize: () => {},
  });
  expect(baseline?.speedup).toEqual({ median: 1, p10: 1, p90: 1 });
});

it('stops between rounds', async () => {
  const controller = new AbortController();
  const { calls, contenders } = recording(1);
  const sampling = sampleInterleaved(contenders, {
    rounds: 1000,
    sampleSeconds: Number.MIN_VALUE,
    synchronize: () => {
      if (calls.length === 5) controller.abort(new Interrupted());
    },
    signal: controller.signal,
  });
  await expect(sampling).rejects.toThrow(Interrupted);
  expect(calls).toHaveLength(5);
});
