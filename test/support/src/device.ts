/** The device that this run of a suite is for, as config/vitest.ts sets it; none in the projects of the CPU. */
const TEST_DEVICE = process.env.QUTLASS_TEST_DEVICE || undefined;

/** Whether this is a project of the CPU. For what is about its threads, its instruction sets, or how it is found. */
export const onCpu = TEST_DEVICE === undefined;

type DeviceName = 'cpu' | 'cuda' | `cuda:${number}`;

/** The class of devices, of whichever build the tests import. */
interface Devices<D> {
  readonly default: D;
  open(name: DeviceName, options?: { threads?: number }): D;
  setDefault(device: D): void;
}

// A second device of the CPU stands in for a GPU, to try the suites without one.
const OPTIONS = TEST_DEVICE === 'cpu' ? { threads: 1 } : {};

/** Makes the device of this run the one of tensors made without one; the first thing that a test file does. */
export function useTestDevice<D>(devices: Devices<D>): void {
  if (!onCpu) devices.setDefault(devices.open(TEST_DEVICE as DeviceName, OPTIONS));
}

/** The same as source text, for programs that import `Device` and run in a process or a thread of their own. */
export const USE_TEST_DEVICE = onCpu
  ? ''
  : `Device.setDefault(Device.open(${JSON.stringify(TEST_DEVICE)}, ${JSON.stringify(OPTIONS)}));`;

/** A device that is not the one of this run: the CPU, or one of its own for the CPU. */
export function otherDevice<D>(devices: Devices<D>): D {
  const cpu = devices.open('cpu');
  return devices.default === cpu ? devices.open('cpu', { threads: 1 }) : cpu;
}
