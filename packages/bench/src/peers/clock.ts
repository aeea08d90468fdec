import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock, Contender, Sample } from '../timing/clock.js';
import type { PeerContender } from './peer.js';

/** Threads of a library go on spinning for some time after a call; the next one shall not share its cores with them. */
const PAUSE_MILLISECONDS = 5;

/** The time from the first call until all are done, for contenders with threads of their own. */
export function peerClock(): Clock {
  const prepare = (contender: Contender, calls: number): Sample => {
    const { enqueue, settle } = contender as PeerContender;
    let index = 0;
    return {
      run: async () => {
        await sleep(PAUSE_MILLISECONDS);
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
