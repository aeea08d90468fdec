import { add, Device, Graph, Tensor } from '@qutlass/core-kernels';
import { afterEach, expect, it, vi } from 'vitest';
import { type Clock, clockOf, enqueueClock, graphClock, hostClock } from './clock.js';

const device = Device.default;
afterEach(() => {
  vi.restoreAllMocks();
});

/** A contender of this many additions in every call, and the indices that it was called with. */
function additions(x: Tensor<'f32'>, count = 1) {
  const indices: number[] = [];
  const enqueue = (index: number) => {
    indices.push(index);
    for (let i = 0; i < count; ++i) add(x, x).dispose();
  };
  return { indices, contender: { enqueue, period: 3 } };
}

it('the CPU is timed by the host, a GPU by its events', () => {
  expect(clockOf(device).kind).toBe(device.kind === 'cpu' ? 'host' : 'device');
});

it.each([
  ['host', hostClock],
  ['enqueue', enqueueClock],
] as const)(
  'the %s clock makes all calls in every sample, and goes on to other memory',
  async (_name, clockFor) => {
    using x = Tensor.zeros([16], 'f32');
    const { indices, contender } = additions(x);
    const clock = clockFor(device);
    expect(clock.quantum(contender)).toBe(1);
    using sample = clock.prepare(contender, 2);
    expect(await sample.run()).toBeGreaterThan(0);
    await sample.run();
    expect(indices).toEqual([0, 1, 2, 3]);
  },
);

it('the graph clock captures the calls once and replays them', async () => {
  using x = Tensor.zeros([16], 'f32');
  const { indices, contender } = additions(x);
  const launch = vi.spyOn(Graph.prototype, 'launch');
  const clock = graphClock(device);
  expect(clock.quantum(contender)).toBe(3);
  using sample = clock.prepare(contender, 6);
  expect(indices).toEqual([0, 1, 2, 3, 4, 5]);
  for (let run = 0; run < 3; ++run) expect(await sample.run()).toBeGreaterThan(0);
  expect(indices).toHaveLength(6);
  // One launch ahead of the one that is timed.
  expect(launch).toHaveBeenCalledTimes(6);
});

it('the clocks of the device agree on what a call costs, and that of the enqueuing does not wait for it', async () => {
  using x = Tensor.zeros([2 ** 23], 'f32');
  const { contender } = additions(x);
  const time = async (clock: Clock) => {
    using sample = clock.prepare(contender, 10);
    await sample.run();
    const times: number[] = [];
    for (let run = 0; run < 5; ++run) times.push(await sample.run());
    return Math.min(...times);
  };
  const [host, graph] = [await time(hostClock(device)), await time(graphClock(device))];
  expect(host / graph).toBeGreaterThan(0.2);
  expect(host / graph).toBeLessThan(5);
});
