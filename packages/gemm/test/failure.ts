import { expect } from 'vitest';
import { Device, QutlassError } from '../src/index.js';

/** Memory that is in use when all enqueued work, which holds memory until it has run, is done. */
export function memoryInUse(): { allocations: number; allocated: number } {
  const device = Device.default;
  device.defaultStream.synchronizeSync();
  const { allocations, allocated } = device.memoryStats();
  return { allocations, allocated };
}

/** Code and message of the QutlassError that `action` throws; it must leave no memory behind. */
export function failure(action: () => unknown): string {
  const before = memoryInUse();
  let message: string | undefined;
  try {
    action();
  } catch (error) {
    if (!(error instanceof QutlassError)) throw error;
    message = `${error.code} ${error.message}`;
  }
  expect(message, 'an error').toBeDefined();
  expect(memoryInUse()).toEqual(before);
  return message as string;
}
