import { Device } from './device.js';
import { QutlassError } from './errors.js';
import { type LoadAttempt, loadBinding, probeBinding } from './loader.js';
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
  /** Every visible GPU, with its properties or why it cannot be used. */
  readonly gpus: readonly {
    readonly name: string;
    readonly info?: NativeDeviceInfo;
    readonly reason?: string;
  }[];
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
      gpus: [],
      kernels: [],
      ...(error && { problem: error.message }),
    };
  }
  return {
    ok: true,
    ...common,
    binary: { loaded: true, version: binding.version(), attempts },
    cpu: Device.open('cpu').info,
    ...cudaState(),
    kernels: binding.kernels(),
  };
}

function cudaState(): Pick<DoctorReport, 'cuda' | 'gpus'> {
  let count: number;
  try {
    count = loadBinding().gpuCount();
  } catch (error) {
    return { cuda: { available: false, reason: messageOf(error) }, gpus: [] };
  }
  const gpus = Array.from({ length: count }, (_, index) => examineGpu(`cuda:${index}`));
  const usable = gpus.filter(({ info }) => info).length;
  const reason = usable > 0 ? `${usable} of ${count} GPUs can be used` : (gpus[0]?.reason ?? '');
  return { cuda: { available: usable > 0, reason }, gpus };
}

function examineGpu(name: `cuda:${number}`): DoctorReport['gpus'][number] {
  try {
    return { name, info: Device.open(name).info };
  } catch (error) {
    return { name, reason: messageOf(error) };
  }
}

/** The message of an error of the library; others are thrown on. */
function messageOf(error: unknown): string {
  if (!(error instanceof QutlassError)) throw error;
  return error.message;
}
