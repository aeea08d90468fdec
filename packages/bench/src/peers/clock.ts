import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock, Contender, Sample } from '../timing/clock.js';
import type { PeerContender } from './peer.js';

const PAUSE_MILLISECONDS = 5;
/** Of a pause, in which a process counts as resting. */
const RESTING_SHARE = 0.05;
/** ggml's threads spin for about 0.1 s. */
const MOST_PAUSES = 100;

/**
 * Waits until the threads of this process rest: those of a library go on spinning for some time after a call, and the next
 * one shall not share its cores with them.
 */
async function waitForRest(): Promise<void> {
  for (let pause = 0; pause < MOST_PAUSES; ++pause) {
    const before = process.cpuUsage();
    const begin = performance.now();
    await sleep(PAUSE_MILLISECONDS);
    const { user, system } = process.cpuUsage(before);
    if (user + system < 1000 * RESTING_SHARE * (performance.now() - begin)) return;
  }
}

/** The time from the first call until all are done, for contenders with threads of their own. */
export function peerClock(): Clock {
  const prepare = (contender: Contender, calls: number): Sample => {
    const { enqueue, settle } = contender as PeerContender;
    let index = 0;
    return {
      run: async () => {
        await waitForRest();
        const begin = performance.now();
        for (let call = 0; call < calls; ++call) enqueue(index++);
        await settle();
        return (performance.now() - begin) / 1000 / calls;
      },
      [Symbol.dispose]: () => {},
    };
  };
  return { kind: 'host', quantum: ({ period = 1 }) => period, prepare };
}
