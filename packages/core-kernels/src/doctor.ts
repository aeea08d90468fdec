import { Device } from './device.js';
import { QutlassError } from './errors.js';
import { type LoadAttempt, probeBinding } from './loader.js';
import type { KernelInfo, NativeDeviceInfo } from './native.js';

/** What `qutlass doctor` prints: the state of this machine as the library sees it. */
export interface DoctorReport {
  readonly ok: boolean;
  readonly node: string;
  readonly nodeApi: string;
  /** `linux-x64-gnu` and the like. */
  readonly target: string;
  readonly binary: {
    readonly loaded: boolean;
    readonly version?: string;
    readonly attempts: readonly LoadAttempt[];
  };
  readonly cpu?: NativeDeviceInfo;
  readonly cuda: { readonly available: boolean; readonly reason: string };
  readonly kernels: readonly KernelInfo[];
  /** The message of the failure, if there is one. */
  readonly problem?: string;
}

/** Examines the machine with the code that the loader itself uses. Changes nothing and never throws. */
export function doctor(): DoctorReport {
  const { target, attempts, binding, error } = probeBinding();
  const common = { node: process.version, nodeApi: process.versions.napi ?? '', target };
  if (!binding) {
    return {
      ok: false,
      ...common,
      binary: { loaded: false, attempts },
      cuda: { available: false, reason: 'the native kernels are not loaded' },
      kernels: [],
      ...(error && { problem: error.message }),
    };
  }
  return {
    ok: true,
    ...common,
    binary: { loaded: true, version: binding.version(), attempts },
    cpu: Device.open('cpu').info,
    cuda: cudaState(),
    kernels: binding.kernels(),
  };
}

function cudaState(): DoctorReport['cuda'] {
  try {
    return { available: true, reason: Device.open('cuda').reason };
  } catch (error) {
    if (!(error instanceof QutlassError)) throw error;
    return { available: false, reason: error.message };
  }
}
