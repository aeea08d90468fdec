import { afterEach, expect, it, vi } from 'vitest';
import { Pace } from './pace.js';

afterEach(() => {
  vi.useRealTimers();
});

it('says how long it takes at the pace so far', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const steps: string[] = [];
  const progress = { step: (title: string) => void steps.push(title), detail: () => {}, end: () => {} };
  const pace = new Pace(progress, 4);
  pace.step('a');
  vi.advanceTimersByTime(3000);
  pace.step('b');
  vi.advanceTimersByTime(1000);
  pace.step('c');
  expect(steps).toEqual(['a (1 of 4)', 'b (2 of 4, about 9 s left)', 'c (3 of 4, about 4 s left)']);
});
