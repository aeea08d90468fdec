import { type Device, Graph } from '@qutlass/core-kernels';

/** Something to time. */
export interface Contender {
  /** Enqueues one call; `index` counts up, so that it can work on other memory each time. */
  enqueue(index: number): void;
  /** Calls after which it is back at the same memory; default 1. */
  readonly period?: number;
}

/** Calls of a contender, ready to be timed again and again. */
export interface Sample extends Disposable {
  /** Runs them; seconds per call. */
  run(): Promise<number>;
}

/** How time is taken. */
export interface Clock {
  readonly kind: 'host' | 'device';
  /** A sample has a multiple of this many calls. */
  quantum(contender: Contender): number;
  prepare(contender: Contender, calls: number): Sample;
}

/** The clock that says what a call costs on the device: events of a GPU, the time of the host for the CPU's kernels. */
export function clockOf(device: Device): Clock {
  return device.kind === 'cpu' ? hostClock(device) : graphClock(device);
}

/** The time from the first call until all have run. */
export function hostClock(device: Device): Clock {
  return repeating(device, () => device.defaultStream.synchronizeSync());
}

/** The time that the JavaScript thread spends on enqueuing, whatever the device does meanwhile. */
export function enqueueClock(device: Device): Clock {
  return repeating(device, () => {});
}

function repeating(device: Device, finish: () => void): Clock {
  const prepare = ({ enqueue }: Contender, calls: number): Sample => {
    let index = 0;
    return {
      run: async () => {
        const begin = performance.now();
        for (let call = 0; call < calls; ++call) enqueue(index++);
        finish();
        const seconds = (performance.now() - begin) / 1000 / calls;
        // The next sample begins with an idle device.
        await device.synchronize();
        return seconds;
      },
      [Symbol.dispose]: () => {},
    };
  };
  return { kind: 'host', quantum: () => 1, prepare };
}

/**
 * Device time of calls that were captured into one graph. The graph is launched twice and the second launch timed, so that
 * the device never waits for the host between the two events. A sample goes through all memory of the contender, or what
 * one replay leaves in the cache would meet the next one there.
 */
export function graphClock(device: Device): Clock {
  const prepare = ({ enqueue }: Contender, calls: number): Sample => {
    const graph = Graph.capture(device, () => {
      for (let call = 0; call < calls; ++call) enqueue(call);
    });
    return {
      run: async () => {
        const { stream } = device;
        graph.launch();
        const start = stream.record({ timing: true });
        graph.launch();
        const end = stream.record({ timing: true });
        await stream.synchronize();
        return end.secondsSince(start) / calls;
      },
      [Symbol.dispose]: () => graph.dispose(),
    };
  };
  return { kind: 'device', quantum: ({ period = 1 }) => period, prepare };
}
